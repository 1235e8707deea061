// A peer on grpc-go with its default settings, the bandwidth estimator and its PINGs among them:
// "peer server unix:PATH" echoes whatever it is called with, "peer client unix:PATH AUTHORITY RATE SECONDS" calls it
// and prints {"calls", "failed", "first"}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// raw passes messages on as they are: no generated code is needed.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func echo(_ interface{}, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	if isCase, err := answer(method, stream); isCase {
		return err
	}
	for {
		var message []byte
		if stream.RecvMsg(&message) != nil {
			return nil
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func serve(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return grpc.NewServer(grpc.MaxRecvMsgSize(2*messageBytes), grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(echo)).Serve(listener)
}

type result struct {
	sync.Mutex
	Calls  int    `json:"calls"`
	Failed int    `json:"failed"`
	First  string `json:"first"`
}

func (r *result) note(err error) {
	r.Lock()
	defer r.Unlock()
	r.Calls++
	if err != nil {
		r.Failed++
		if r.First == "" {
			r.First = err.Error()
		}
	}
}

func unary(conn *grpc.ClientConn, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sent := make([]byte, size)
	var got []byte
	if err := conn.Invoke(ctx, "/checks.Echo/Unary", &sent, &got); err != nil {
		return err
	}
	if len(got) != size {
		return fmt.Errorf("%d of %d bytes came back", len(got), size)
	}
	return nil
}

// missed is a call whose deadline passes, as it should.
func missed(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	sent, got := []byte("x"), []byte(nil)
	err := conn.Invoke(ctx, "/checks.Echo/Wait", &sent, &got)
	if status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("a call without an answer ended with %v", err)
	}
	return nil
}

func call(path, authority string, rate int, seconds int) error {
	conn, err := grpc.Dial("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(authority), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return err
	}
	defer conn.Close()
	var calls sync.WaitGroup
	var told result
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for count := 0; time.Now().Before(end); count++ {
		<-ticker.C
		calls.Add(1)
		go func(count int) {
			defer calls.Done()
			if count%5 == 4 {
				told.note(missed(conn))
			} else {
				told.note(unary(conn, 1+(count%7)*3000))
			}
		}(count)
	}
	calls.Wait()
	return json.NewEncoder(os.Stdout).Encode(&told)
}

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "server":
		err = serve(strings.TrimPrefix(os.Args[2], "unix:"))
	case len(os.Args) == 4 && os.Args[1] == "cases":
		err = cases(strings.TrimPrefix(os.Args[2], "unix:"), os.Args[3])
	case len(os.Args) == 6 && os.Args[1] == "client":
		rate, _ := strconv.Atoi(os.Args[4])
		seconds, _ := strconv.Atoi(os.Args[5])
		err = call(strings.TrimPrefix(os.Args[2], "unix:"), os.Args[3], rate, seconds)
	default:
		err = fmt.Errorf("peer server unix:PATH | peer client unix:PATH AUTHORITY RATE SECONDS | peer cases unix:PATH AUTHORITY")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
