#!/bin/sh
# In the place of Jaeger: a receiver of OTLP, which writes what it takes to standard
# output, and a health check that answers.
set -eu
(cd /srv && exec httpd -f -p 127.0.0.1:13133) &
exec otlpsink -grpc "$JAEGER_LISTEN_HOST:4317" -http 127.0.0.1:4318
