#!/bin/sh
# Makes an image of this machine's own Prometheus (Debian's package), where the official one cannot
# be pulled: the stack takes it as PAYRESIL_PROMETHEUS_IMAGE. Quick when the image is there already.
#
#     containers/prometheus-image.sh [NAME]
#
# It stands on the project's image, PAYRESIL_IMAGE, so that is built first.
set -eu

name=${1:-payresil-prometheus:local}
if docker image inspect "$name" >/dev/null 2>&1; then
    echo "prometheus-image: $name is there" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in prometheus promtool; do
    found=$(command -v "$program") || {
        echo "prometheus-image: $program is missing: apt-get install --no-install-recommends prometheus" >&2
        exit 2
    }
    cp "$found" "$work/"
done
cat >"$work/Dockerfile" <<'END'
ARG IMAGE
FROM ${IMAGE}
USER root
COPY prometheus promtool /usr/local/bin/
RUN mkdir /prometheus && chown payresil /prometheus
USER payresil
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
END
docker build --quiet --build-arg IMAGE="${PAYRESIL_IMAGE:-payresil:local}" --tag "$name" "$work" >/dev/null
echo "prometheus-image: $name is made" >&2
