"""The README shows what is in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def test_the_broker_of_the_readme_is_the_example_itself() -> None:
    assert f"```python\n{(ROOT / 'examples' / 'broker.py').read_text()}```\n" in README


def test_there_is_a_small_picture_of_the_page_for_each_scheme() -> None:
    for scheme in ("dark", "light"):
        name = f"docs/images/page-{scheme}.png"
        assert name in README
        assert (ROOT / name).stat().st_size < 300_000


def test_the_picture_is_small_and_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "images" / "running.svg").read_text()
    assert len(picture) < 150_000
    assert "url(" not in picture.replace("url(#", "")
    assert "href" not in picture
