// A Switchboard handler in Go: takes updates, handles them, acknowledges them.
// At most one update of a chat is out at any moment, so handling all that arrives at once keeps each chat in order. An
// update can come twice (a crash, an expired lease): what must not happen twice, guard by bot and update_id.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	v1 "switchboard.example/handler/switchboardv1"
)

var address = cmp.Or(os.Getenv("SWITCHBOARD_ADDRESS"), "127.0.0.1:50051")
var bot, group = os.Getenv("SWITCHBOARD_BOT"), cmp.Or(os.Getenv("SWITCHBOARD_GROUP"), "go")

// handle is your bot. An error gives the update back, to be tried again later.
func handle(d *v1.Delivery) error {
	var update struct{ Message struct{ Text string } }
	_ = json.Unmarshal([]byte(d.Update.Json), &update) // always well-formed
	fmt.Printf("{\"update_id\":%d,\"key\":%q,\"attempt\":%d,\"text\":%q}\n",
		d.Update.UpdateId, d.OrderingKey, d.Attempt, update.Message.Text)
	if update.Message.Text == "/fail" && d.Attempt == 1 {
		return fmt.Errorf("asked to fail once")
	}
	return nil
}

// settle handles one delivery and says how it went. Answers come when they are on disk.
func settle(ctx context.Context, api v1.DeliveryServiceClient, d *v1.Delivery, held *sync.Map) {
	defer held.Delete(d.Token)
	tokens, err := []string{d.Token}, error(nil)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if failure := handle(d); failure != nil {
		_, err = api.Nack(ctx, &v1.NackRequest{Bot: bot, Group: group, Tokens: tokens, Reason: failure.Error()})
	} else {
		_, err = api.Ack(ctx, &v1.AckRequest{Bot: bot, Group: group, Tokens: tokens})
	}
	if err != nil {
		log.Printf("not settled, it will be delivered again: %v", err)
	}
}

func main() {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	api, ctx := v1.NewDeliveryServiceClient(connection), context.Background()
	if token := os.Getenv("SWITCHBOARD_ACCESS_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	var held sync.Map // tokens being handled
	consumer := os.Getenv("SWITCHBOARD_CONSUMER")
	for ; ; time.Sleep(time.Second) {
		request := &v1.SubscribeRequest{Bot: bot, Group: group, ConsumerId: consumer}
		held.Range(func(token, _ any) bool { request.HeldTokens = append(request.HeldTokens, token.(string)); return true })
		stream, err := api.Subscribe(ctx, request)
		for err == nil {
			var response *v1.SubscribeResponse // nil on an error: its getters then return nothing
			response, err = stream.Recv()
			consumer = cmp.Or(response.GetOpened().GetConsumerId(), consumer)
			for _, delivery := range response.GetDeliveries().GetDeliveries() {
				held.Store(delivery.Token, nil)
				go settle(ctx, api, delivery, &held)
			}
		}
		log.Printf("stream ended: %v", err)
	}
}
