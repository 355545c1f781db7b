"""The tests of the exchange: unit, integration on real servers, contract over HTTP, end to end."""
