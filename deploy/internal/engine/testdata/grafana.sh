#!/bin/sh
# In the place of Grafana: what it needs of its container. It reads its password and what
# is provisioned, writes where it keeps its data, and answers when it is asked for its
# health.
set -eu
test -s "$GF_SECURITY_ADMIN_PASSWORD__FILE"
cat "$GF_SECURITY_ADMIN_PASSWORD__FILE" /etc/grafana/provisioning/datasources/*.yaml /etc/grafana/provisioning/dashboards/*.yaml /var/lib/grafana/dashboards/*.json >/dev/null
touch /var/lib/grafana/grafana.db
mkdir -p /tmp/www/api
echo '{"database":"ok"}' >/tmp/www/api/health
trap 'exit 0' TERM # which the kernel keeps from a first process that does not ask for it
httpd -f -p 3000 -h /tmp/www &
wait
