package main

// protoc needs Google's google/rpc/status.proto too: GOOGLEAPIS is a folder that has it, such as a checkout of
// github.com/googleapis/googleapis. The plugins are installed where `go install` puts them, which has to be in PATH.
//
//go:generate go install tool
//go:generate sh -c "protoc -I ../../../protos -I $GOOGLEAPIS --go_out=. --go-grpc_out=. ../../../protos/loyalty/v1/*.proto"
