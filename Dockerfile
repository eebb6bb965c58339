# The service, without PyTorch: docker build -t vocalics . && docker run -p 127.0.0.1:8000:8000 vocalics
# How it is meant to run, with limits and a token: compose.yaml. docs/service.md tells the rest.

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/vocalics \
    && /opt/vocalics/bin/pip install --no-cache-dir ".[service]"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin vocalics
COPY --from=build /opt/vocalics /opt/vocalics
ENV PATH=/opt/vocalics/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["vocalics", "serve", "--host", "0.0.0.0"]
