# One image for every worker; docker-compose.yml says which one a container runs. It holds the core
# alone: no embedded servers (the containers beside it are the servers) and no plotly.
FROM python:3.11-slim AS build
COPY constraints-production.txt /src/
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r /src/constraints-production.txt
COPY . /src
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src

FROM python:3.11-slim
RUN useradd --system --home-dir /nonexistent exchange
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER exchange
ENTRYPOINT ["exchange"]
CMD ["--help"]
