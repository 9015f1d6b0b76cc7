"""A Switchboard handler in Python: takes updates, handles them, acknowledges them.

At most one update of a chat is out at any moment, so handling all that arrives at once keeps each chat in order. An
update can come twice (a crash, an expired lease): what must not happen twice, guard by `bot` and `update_id`.
"""

import asyncio
import json
import os

import grpc

from switchboard.v1 import delivery_service_pb2 as v1
from switchboard.v1.delivery_service_pb2_grpc import DeliveryServiceStub

ADDRESS = os.environ.get("SWITCHBOARD_ADDRESS", "127.0.0.1:50051")
BOT = os.environ.get("SWITCHBOARD_BOT", "")  # needed where the gateway has several
GROUP = os.environ.get("SWITCHBOARD_GROUP", "python")
CONSUMER = os.environ.get("SWITCHBOARD_CONSUMER", "")
TOKEN = os.environ.get("SWITCHBOARD_ACCESS_TOKEN")
METADATA = [("authorization", f"Bearer {TOKEN}")] if TOKEN else None


async def handle(delivery):
    """Your bot. Whatever it raises gives the update back, to be tried again later."""
    update = json.loads(delivery.update.json)
    text = update.get("message", {}).get("text", "")
    print(json.dumps({"update_id": update["update_id"], "key": delivery.ordering_key,
                      "attempt": delivery.attempt, "text": text}), flush=True)
    if text == "/fail" and delivery.attempt == 1:
        raise RuntimeError("asked to fail once")


async def settle(api, delivery, held):
    """Handles one delivery and says how it went. Answers come when they are on disk."""
    tokens = [delivery.token]
    try:
        await handle(delivery)
    except Exception as error:
        request = v1.NackRequest(bot=BOT, group=GROUP, tokens=tokens, reason=str(error))
        call = api.Nack
    else:
        request = v1.AckRequest(bot=BOT, group=GROUP, tokens=tokens)
        call = api.Ack
    try:
        await call(request, metadata=METADATA, timeout=30, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:  # it will be delivered again
        print(f"not settled: {error.details()}", flush=True)
    finally:
        del held[delivery.token]


async def main():
    async with grpc.aio.insecure_channel(ADDRESS) as channel:
        api = DeliveryServiceStub(channel)
        held = {}  # token → task
        consumer = CONSUMER
        while True:
            request = v1.SubscribeRequest(bot=BOT, group=GROUP, consumer_id=consumer, held_tokens=list(held))
            try:
                async for response in api.Subscribe(request, metadata=METADATA):
                    match response.WhichOneof("event"):
                        case "opened":
                            consumer = response.opened.consumer_id
                        case "deliveries":
                            for delivery in response.deliveries.deliveries:
                                held[delivery.token] = asyncio.create_task(settle(api, delivery, held))
                        case "lease_lost":
                            for token in set(response.lease_lost.tokens) & held.keys():
                                held[token].cancel()
            except grpc.aio.AioRpcError as error:
                print(f"stream ended: {error.code().name}: {error.details()}", flush=True)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
