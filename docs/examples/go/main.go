// The first call: points for a receipt, then the same request again, as after a lost connection.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	loyalty "example.com/first-call/loyalty/v1"
)

const serviceConfigFile = "../../client-service-config.json"

func main() {
	log.SetFlags(0)
	channel, err := connect(cmp.Or(os.Getenv("LOYALTY_ADDRESS"), "127.0.0.1:50051"))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	if err := callTwice(loyalty.NewTransactionServiceClient(channel)); err != nil {
		log.Fatalf("failed: %s", reason(err))
	}
}

func connect(address string) (*grpc.ClientConn, error) {
	serviceConfig, err := os.ReadFile(serviceConfigFile)
	if err != nil {
		return nil, err
	}
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = time.Second
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(string(serviceConfig)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 5 * time.Second}),
	)
}

func callTwice(client loyalty.TransactionServiceClient) error {
	ctx := metadata.AppendToOutgoingContext(context.Background(),
		"authorization", "Bearer "+os.Getenv("LOYALTY_API_KEY"))
	request := sale()
	first, err := client.Accrue(ctx, request)
	if err != nil {
		return err
	}
	var trailer metadata.MD
	repeat, err := client.Accrue(ctx, request, grpc.Trailer(&trailer))
	if err != nil {
		return err
	}
	fmt.Printf("applied: %d points earned, balance %d\n", first.EarnedPoints, first.BalancePoints)
	replayed := len(trailer.Get("loyalty-replayed")) > 0
	fmt.Printf("repeated: replayed %t, same operation %t\n", replayed, proto.Equal(first, repeat))
	return nil
}

// sale is made once for a sale and kept with it until it is answered.
func sale() *loyalty.AccrueRequest {
	return &loyalty.AccrueRequest{
		IdempotencyKey: rand.Text(),
		Member:         &loyalty.AccrueRequest_Card{Card: cmp.Or(os.Getenv("LOYALTY_CARD"), "demo-0001")},
		OccurredAt:     timestamppb.Now(),
		StoreId:        "7",
		TerminalId:     "2",
		Receipt:        &loyalty.Receipt{ReceiptId: "4711", TotalMinor: 123_400},
	}
}

// reason is the ErrorReason of the service, else gRPC's code.
func reason(err error) string {
	answer := status.Convert(err)
	for _, detail := range answer.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return answer.Code().String()
}
