// A Switchboard handler in Node: takes updates, handles them, acknowledges them.
//
// At most one update of a chat is out at any moment, so handling all that arrives at once keeps each chat in order. An
// update can come twice (a crash, an expired lease): what must not happen twice, guard by `bot` and `update_id`.
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const address = process.env.SWITCHBOARD_ADDRESS ?? "127.0.0.1:50051";
const bot = process.env.SWITCHBOARD_BOT ?? ""; // needed where the gateway has several
const group = process.env.SWITCHBOARD_GROUP ?? "node";
const proto = process.env.SWITCHBOARD_PROTO ?? path.join(__dirname, "../../../proto");

const file = "switchboard/v1/delivery_service.proto";
const definition = loader.loadSync(file, { includeDirs: [proto], longs: String, enums: String, oneofs: true });
const { switchboard } = grpc.loadPackageDefinition(definition);
const api = new switchboard.v1.DeliveryService(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
if (process.env.SWITCHBOARD_ACCESS_TOKEN) {
  metadata.set("authorization", `Bearer ${process.env.SWITCHBOARD_ACCESS_TOKEN}`);
}

let consumer = process.env.SWITCHBOARD_CONSUMER ?? "";
const held = new Map(); // token → AbortController, for what is being handled

// Your bot. Whatever it throws gives the update back, to be tried again later.
async function handle(delivery, signal) {
  const update = JSON.parse(delivery.update.json);
  const text = update.message?.text ?? "";
  const { orderingKey: key, attempt } = delivery;
  console.log(JSON.stringify({ update_id: update.update_id, key, attempt, text }));
  if (text === "/fail" && attempt === 1) throw new Error("asked to fail once");
}

function call(method, request) {
  const options = { deadline: Date.now() + 30_000 };
  return new Promise((resolve, reject) =>
    api[method](request, metadata, options, (error, response) => (error ? reject(error) : resolve(response))));
}

// Handles one delivery and says how it went. Answers come when they are on disk.
async function settle(delivery) {
  const lost = new AbortController();
  held.set(delivery.token, lost);
  const tokens = [delivery.token];
  try {
    await handle(delivery, lost.signal).then(
      () => call("ack", { bot, group, tokens }),
      (error) => call("nack", { bot, group, tokens, reason: error.message }),
    );
  } catch (error) {
    console.log(`not settled: ${error.details}`); // it will be delivered again
  } finally {
    held.delete(delivery.token);
  }
}

function subscribe() {
  const stream = api.subscribe({ bot, group, consumerId: consumer, heldTokens: [...held.keys()] }, metadata);
  stream.on("data", ({ event, opened, deliveries, leaseLost }) => {
    if (event === "opened") consumer = opened.consumerId;
    if (event === "deliveries") deliveries.deliveries.forEach(settle);
    if (event === "leaseLost") leaseLost.tokens.forEach((token) => held.get(token)?.abort());
  });
  stream.on("error", (error) => console.log(`stream ended: ${error.code}: ${error.details}`));
  stream.on("close", () => setTimeout(subscribe, 1000));
}

subscribe();
