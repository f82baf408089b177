# Leveret in a container: `docker build -t leveret . && docker run -p 15672:15672 -p 5672:5672 -v leveret:/data -e LEVERET_DEFAULT_USER=me -e LEVERET_DEFAULT_PASS=secret leveret`
# (guest/guest works from loopback only, and a container's clients are elsewhere). Its data is in the volume /data, which one container has at a time.
# It runs as node, not root, and writes nothing outside of /data: `--read-only` works. Nothing in it needs a shell. docs/deployment.md has the rest.
# Node takes half of the container's memory limit for its heap, at most 4 GiB, and the memory alarm rises at 60 % of it: nothing has to be set.

FROM node:20-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.base.json ./
COPY shared shared
COPY client client
COPY server server
RUN npm ci --ignore-scripts --no-audit --no-fund
RUN npx tsc -b client && npx tsc -b server
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:20-slim
ENV NODE_ENV=production LEVERET_DATA_DIR=/data
WORKDIR /app
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/client/package.json client/
COPY --from=build /build/client/dist client/dist
COPY --from=build /build/server/package.json server/
COPY --from=build /build/server/bin server/bin
COPY --from=build /build/server/dist server/dist
RUN install -d -o node -g node -m 700 /data
VOLUME /data
USER node
EXPOSE 15672 15671 5672 5671
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:15672/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "server/bin/leveret.js"]
CMD ["start", "--host", "0.0.0.0"]
