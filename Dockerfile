# Built and run by the same Node, so that the code it compiled while building still fits.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund --ignore-scripts
COPY scripts ./scripts
COPY src ./src
RUN node scripts/build.mjs
# Compiled code is kept per user: once more as the one who will run it.
RUN rm -rf dist/compile-cache && mkdir -m 777 dist/compile-cache
USER node
RUN node scripts/warm.mjs && chmod -R a+rX dist/compile-cache

# Everything is in the bundle: there is no node_modules here, and nothing that the process may write but /data and /tmp.
FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="Gatehouse" org.opencontainers.image.licenses="MIT"
WORKDIR /app
COPY package.json README.md CHANGELOG.md ./
COPY --from=build /app/dist ./dist
RUN mkdir -p /data /etc/gatehouse/namespaces /etc/gatehouse/openapi-imports && chown node:node /data && chmod 700 /data
# Anything but loopback needs GATEHOUSE_ADMIN_KEY: without it the process says so and stops.
ENV NODE_ENV=production \
    GATEHOUSE_HOST=0.0.0.0 \
    GATEHOUSE_PORT=8080 \
    GATEHOUSE_DATA=/data \
    GATEHOUSE_NAMESPACES=/etc/gatehouse/namespaces \
    GATEHOUSE_OPENAPI_IMPORTS=/etc/gatehouse/openapi-imports
VOLUME /data
EXPOSE 8080
USER node
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.GATEHOUSE_PORT}/healthz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# The first process of a container gets every signal itself; Gatehouse answers SIGTERM by finishing what runs.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/gatehouse.mjs"]
CMD ["serve"]
