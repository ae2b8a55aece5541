# The bridge and what it imports, run by a user that owns nothing but what it has to write.
# docs/install.md says what to mount.

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY ami_bridge ami_bridge
# The pip that installs stays in this stage.
RUN python -m venv --without-pip /opt/ami-bridge \
 && pip --python /opt/ami-bridge/bin/python install --no-cache-dir .

FROM python:3.11-slim
RUN groupadd --system --gid 990 ami-bridge \
 && useradd --system --uid 990 --gid 990 --no-create-home --home-dir /var/lib/ami-bridge ami-bridge \
 && install -d -m 0750 -o ami-bridge -g ami-bridge \
      /etc/ami-bridge /var/lib/ami-bridge /run/ami-bridge
COPY --from=build /opt/ami-bridge /opt/ami-bridge
COPY --chown=ami-bridge:ami-bridge --chmod=0640 packaging/debian/rules.toml /etc/ami-bridge/
# What systemd would tell the unit.
ENV PATH=/opt/ami-bridge/bin:$PATH \
    STATE_DIRECTORY=/var/lib/ami-bridge \
    RUNTIME_DIRECTORY=/run/ami-bridge
USER 990:990
WORKDIR /var/lib/ami-bridge
VOLUME /var/lib/ami-bridge
# Asks the bridge over its control socket: the rules need the table [control].
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s CMD ["ami-bridge", "status"]
ENTRYPOINT ["ami-bridge"]
CMD ["run"]
