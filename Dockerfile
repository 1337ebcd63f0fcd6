# The image of every service that runs our code: Airflow's components, the CDC service and the gateway.
FROM apache/airflow:3.3.2-python3.11

USER root
# git: repositories are crawled from their own history. chromium: LinkedIn and pages drawn by script are read with it.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium git \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner airflow --group root --mode 0775 /opt/airflow/data/imports /opt/airflow/data /opt/llmtwin

USER airflow
WORKDIR /opt/llmtwin

# Where there is no GPU, build with PyTorch's index of CPU builds here: the default build of torch brings CUDA along.
ARG PIP_EXTRA_INDEX_URL=""
COPY requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt

COPY --chown=airflow:root pyproject.toml README.md ./
COPY --chown=airflow:root include include
COPY --chown=airflow:root plugins plugins
COPY --chown=airflow:root dags dags
COPY --chown=airflow:root serving serving
RUN pip install --no-cache-dir --no-deps --editable .

# Docker forbids the namespaces that Chromium's sandbox is made of; here the container is the fence.
ENV LLMTWIN_BROWSER_SANDBOX=false

ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/llmtwin/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/llmtwin/plugins \
    LLMTWIN_HOME=/opt/llmtwin \
    LLMTWIN_DATA_DIR=/opt/airflow/data
WORKDIR /opt/airflow
