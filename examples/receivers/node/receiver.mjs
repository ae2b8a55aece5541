/*
 * Takes call events from ami-bridge, signed as Standard Webhooks says, form or JSON.
 * Node 18 or newer, nothing else. Behind a proxy that speaks HTTPS, or to try it:
 *   AMI_BRIDGE_SIGNING_SECRET=whsec_... PORT=8080 node receiver.mjs
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const LONGEST_BODY = 65536;
const file = process.env.CALLS_FILE ?? "calls.jsonl";
const keys = (process.env.AMI_BRIDGE_SIGNING_SECRET ?? "").split(/\s+/).filter(Boolean)
  .map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
if (!keys.length || keys.some((key) => key.length < 24)) {
  console.error("AMI_BRIDGE_SIGNING_SECRET has to be what the bridge signs with: whsec_...");
  process.exit(78);
}

// Which notifications were taken: a line each, in a file that survives a restart. Half a line
// is one that was not acknowledged, and comes again.
const taken = new Set();
if (existsSync(file)) {
  for (const line of readFileSync(file, "utf8").split("\n")) {
    try { taken.add(JSON.parse(line).id); } catch { /* empty, or half */ }
  }
}
const calls = openSync(file, "a", 0o600);

/** Says whether a request is from the bridge, unchanged, and not a copy of an old one. */
function isOurs(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp = "" } = headers;
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  if (!id || !/^\d+$/.test(timestamp) || age > TOLERANCE_SECONDS) return false;
  const given = (headers["webhook-signature"] ?? "").split(" ").map((text) => Buffer.from(text));
  return keys.some((key) => {
    // Over the octets as they came, before anything is made of them.
    const hmac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body);
    const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
    return given.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
  });
}

function parsed(type = "", text) {
  if (!type.startsWith("application/json")) return Object.fromEntries(new URLSearchParams(text));
  try { return JSON.parse(text); } catch { return null; }
}

/** Takes one notification; gives the status to answer with. */
function take(request, body) {
  if (!isOurs(request.headers, body)) return 401;
  const id = request.headers["webhook-id"];
  if (taken.has(id)) return 204; // a repetition: the answer to it was lost
  const call = parsed(request.headers["content-type"], body.toString("utf8"));
  if (!call?.CallID) return 400;
  writeSync(calls, `\n${JSON.stringify({ id, call })}\n`);
  fsyncSync(calls); // from here on it is ours to remember
  taken.add(id);
  return 204;
}

const server = createServer((request, response) => {
  const length = Number(request.headers["content-length"] ?? Infinity);
  const refused = request.method !== "POST" ? 405 : length > LONGEST_BODY ? 413 : null;
  if (refused) return response.writeHead(refused, { connection: "close" }).end();
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  return request.on("end", () => {
    let status = 500; // the disk is full, say: the bridge comes again
    try { status = take(request, Buffer.concat(pieces)); } catch (error) { console.error(error); }
    response.writeHead(status).end();
  });
});
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1");
process.on("SIGTERM", () => { server.close(); server.closeIdleConnections(); });
server.on("close", () => closeSync(calls));
