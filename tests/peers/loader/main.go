// The loader sends OTLP trace messages to a receiver on this machine, over gRPC or HTTP, as they are: nothing is decoded.
//
//	loader -to 127.0.0.1:4317 -with grpc [-streams 2] messages.binpb
//
// The file holds messages after their lengths in 4 bytes, big-endian, as the Collector's file exporter writes them. It is
// read into memory first, then every message is sent once; a message that is refused ends the run with status 1.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// raw is a codec that hands bytes through.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append((*v.(*[]byte))[:0], data...)
	return nil
}

type send func(context.Context, []byte) error

func overGRPC(to string) (send, error) {
	conn, err := grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	const method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	return func(ctx context.Context, message []byte) error {
		var answer []byte
		if err := conn.Invoke(ctx, method, &message, &answer, grpc.ForceCodec(raw{})); err != nil {
			return err
		}
		return whole(answer)
	}, nil
}

func overHTTP(to string) (send, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}}
	return func(ctx context.Context, message []byte) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+to+"/v1/traces", bytes.NewReader(message))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-protobuf")
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("HTTP %s: %s", answer.Status, body)
		}
		return whole(body)
	}, nil
}

// whole refuses an answer that reports rejected spans: field 1 (partial_success) with anything in it.
func whole(answer []byte) error {
	if len(answer) > 2 && answer[0] == 0x0a {
		return fmt.Errorf("some spans were rejected: %q", answer)
	}
	return nil
}

func messages(path string) ([][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for len(data) > 0 {
		if len(data) < 4 || uint64(len(data)-4) < uint64(binary.BigEndian.Uint32(data)) {
			return nil, errors.New(path + ": cut short")
		}
		end := 4 + binary.BigEndian.Uint32(data)
		all = append(all, data[4:end])
		data = data[end:]
	}
	return all, nil
}

func local(to string) error {
	host, _, err := net.SplitHostPort(to)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address: this loader never sends anywhere else", host)
	}
	return nil
}

func run() error {
	to := flag.String("to", "127.0.0.1:4317", "where the receiver listens, a loopback address")
	with := flag.String("with", "grpc", "grpc or http")
	streams := flag.Int("streams", 1, "messages under way at once")
	limit := flag.Duration("limit", 10*time.Minute, "give up after this time")
	flag.Parse()
	if flag.NArg() != 1 {
		return errors.New("one file, please")
	}
	if err := local(*to); err != nil {
		return err
	}
	all, err := messages(flag.Arg(0))
	if err != nil {
		return err
	}
	open := map[string]func(string) (send, error){"grpc": overGRPC, "http": overHTTP}[*with]
	if open == nil {
		return errors.New("-with is grpc or http")
	}
	deliver, err := open(*to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	var (
		next   atomic.Int64
		group  sync.WaitGroup
		failed = make(chan error, max(*streams, 1))
	)
	for range max(*streams, 1) {
		group.Go(func() {
			for {
				at := next.Add(1) - 1
				if at >= int64(len(all)) {
					return
				}
				if err := deliver(ctx, all[at]); err != nil {
					failed <- fmt.Errorf("message %d: %w", at, err)
					cancel()
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	return <-failed
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "loader:", err)
		os.Exit(1)
	}
}
