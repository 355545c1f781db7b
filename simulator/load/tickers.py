"""Symbols to trade: the most traded shares of B3 first, then made-up ones."""

import time

SYMBOL_LENGTH_MAX = 10  # What every exchange with this contract takes.
MARK_LENGTH = 4
_BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_REAL = """
PETR4 VALE3 ITUB4 BBDC4 B3SA3 PETR3 BBAS3 ABEV3 MGLU3 ITSA4 WEGE3 ELET3 RENT3 SUZB3 GGBR4
BPAC11 PRIO3 EQTL3 RADL3 RDOR3 LREN3 JBSS3 CSAN3 HAPV3 VBBR3 RAIL3 BBSE3 SBSP3 EMBR3 VIVT3
NTCO3 UGPA3 CMIG4 ENEV3 KLBN11 TOTS3 HYPE3 CCRO3 ASAI3 BBDC3 TIMS3 ELET6 BRFS3 CSNA3 USIM5
GOAU4 CPLE6 SANB11 TAEE11 MULT3 EGIE3 CRFB3 MRFG3 AZUL4 GOLL4 CYRE3 COGN3 BRKM5 CVCB3 IRBR3
ALPA4 FLRY3 ENGI11 CPFE3 YDUQ3 EZTC3 DXCO3 BEEF3 PETZ3 SLCE3 SMTO3 POMO4 RECV3 RRRP3 AURE3
VAMO3 LWSA3 MRVE3 QUAL3 BRAP4 PCAR3 SOMA3 ARZZ3 ALSO3 IGTI11 STBP3 TRPL4 CIEL3 ECOR3 GMAT3
"""


def symbols(count: int, run: str) -> list[str]:
    """``count`` symbols that belong to one run: ``PETR4K3F9`` of the run ``K3F9``. Orders that an
    earlier run has left in the books would otherwise trade with this one's, whose cash must sum to
    0."""
    real = _REAL.split()
    names = [*real, *(f"SIM{number:03d}" for number in range(len(real), count))]
    return [f"{name}{run}" for name in names[:count]]


def real_symbols(count: int) -> list[str]:
    """The ``count`` most traded symbols, as they are; fewer where the list is shorter."""
    return _REAL.split()[:count]


def run_mark() -> str:
    """Four characters that tell this run's symbols from those of others."""
    number, text = time.time_ns() // 10**8, ""
    for _ in range(MARK_LENGTH):
        number, digit = divmod(number, 36)
        text = _BASE36[digit] + text
    return text
