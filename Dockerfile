# One image for every worker; docker-compose.yml says which one a container runs.
FROM python:3.11-slim AS build
COPY constraints.txt pyproject.toml README.md /src/
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r /src/constraints.txt
COPY . /src
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src

FROM python:3.11-slim
RUN useradd --system --home-dir /nonexistent exchange
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER exchange
ENTRYPOINT ["exchange"]
CMD ["--help"]
