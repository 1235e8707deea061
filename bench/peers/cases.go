// What gRPC promises its users, case by case: "peer cases unix:PATH AUTHORITY" calls a "peer server" (or one in another
// language that has the same methods) and prints {case: "" or what was wrong}.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	patience     = 30 * time.Second
	messageBytes = 6 << 20
	detail       = " a message between spaces "
)

// cancelled counts calls of Wait that the server saw end before it answered.
var cancelled int64

// answer serves the methods that cases need; false: it is another one.
func answer(method string, stream grpc.ServerStream) (bool, error) {
	var request []byte
	one := func(text string) (bool, error) {
		message := []byte(text)
		return true, stream.SendMsg(&message)
	}
	switch method[strings.LastIndex(method, "/")+1:] {
	case "Metadata":
		sent, _ := metadata.FromIncomingContext(stream.Context())
		back := metadata.MD{}
		for name, values := range sent {
			if strings.HasPrefix(name, "x-") {
				back[name] = values
			}
		}
		_ = stream.SendHeader(back)
		stream.SetTrailer(back)
		return one("ok")
	case "Trailers":
		trailers := metadata.MD{"x-spaces": {" b "}}
		for place := 0; place < 17; place++ {
			trailers.Append("x-long-"+strconv.Itoa(place), strings.Repeat("t", 1000))
		}
		stream.SetTrailer(trailers)
		return true, status.Error(codes.Aborted, detail)
	case "Remaining":
		deadline, has := stream.Context().Deadline()
		if !has {
			return one("none")
		}
		return one(strconv.FormatInt(time.Until(deadline).Milliseconds(), 10))
	case "Wait":
		_ = stream.SendHeader(metadata.MD{})
		<-stream.Context().Done()
		atomic.AddInt64(&cancelled, 1)
		return true, stream.Context().Err()
	case "Count":
		return one(strconv.FormatInt(atomic.LoadInt64(&cancelled), 10))
	case "Many":
		if err := stream.RecvMsg(&request); err != nil {
			return true, err
		}
		for count, _ := strconv.Atoi(string(request)); count > 0; count-- {
			message := bytes.Repeat([]byte("m"), 1000)
			if err := stream.SendMsg(&message); err != nil {
				return true, err
			}
		}
		return true, nil
	}
	return false, nil
}

type caller struct{ conn *grpc.ClientConn }

func (c caller) unary(method string, sent []byte, options ...grpc.CallOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []byte
	err := c.conn.Invoke(ctx, "/checks.Echo/"+method, &sent, &got, options...)
	return got, err
}

func (c caller) open(ctx context.Context, method string) (grpc.ClientStream, error) {
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	return c.conn.NewStream(ctx, desc, "/checks.Echo/"+method)
}

func (c caller) metadata() error {
	big := strings.Repeat("v", 1000)
	pairs := []string{"x-spaces", "  b ", "x-data-bin", "\x00\xff,\x01", "x-data-bin", "b,c", "x-data-bin", ""}
	for place := 0; place < 20; place++ {
		pairs = append(pairs, "x-big-"+strconv.Itoa(place), big)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var heads, tails metadata.MD
	sent, got := []byte("x"), []byte(nil)
	err := c.conn.Invoke(metadata.AppendToOutgoingContext(ctx, pairs...), "/checks.Echo/Metadata", &sent, &got,
		grpc.Header(&heads), grpc.Trailer(&tails))
	if err != nil {
		return err
	}
	for where, md := range map[string]metadata.MD{"headers": heads, "trailers": tails} {
		if spaces := md.Get("x-spaces"); len(spaces) != 1 || strings.TrimSpace(spaces[0]) != "b" {
			return fmt.Errorf("%s: x-spaces is %q", where, spaces)
		}
		bin := md.Get("x-data-bin")
		if len(bin) != 3 || bin[0] != "\x00\xff,\x01" || bin[1] != "b,c" || bin[2] != "" {
			return fmt.Errorf("%s: x-data-bin is %q", where, bin)
		}
		for place := 0; place < 20; place++ {
			if values := md.Get("x-big-" + strconv.Itoa(place)); len(values) != 1 || values[0] != big {
				return fmt.Errorf("%s: x-big-%d is not what was sent", where, place)
			}
		}
	}
	return nil
}

func (c caller) trailers() error {
	var tails metadata.MD
	_, err := c.unary("Trailers", []byte("x"), grpc.Trailer(&tails))
	if status.Code(err) != codes.Aborted || strings.TrimSpace(status.Convert(err).Message()) != strings.TrimSpace(detail) {
		return fmt.Errorf("ended with %v", err)
	}
	if values := tails.Get("x-spaces"); len(values) != 1 || strings.TrimSpace(values[0]) != "b" {
		return fmt.Errorf("x-spaces is %q", values)
	}
	for place := 0; place < 17; place++ {
		if values := tails.Get("x-long-" + strconv.Itoa(place)); len(values) != 1 || len(values[0]) != 1000 {
			return fmt.Errorf("x-long-%d is not what was sent", place)
		}
	}
	return nil
}

func (c caller) deadline() error {
	got, err := c.unary("Remaining", []byte("x"))
	if err != nil {
		return err
	}
	if left, bad := strconv.Atoi(string(got)); bad != nil || left <= 0 || left > int(patience.Milliseconds())+1000 {
		return fmt.Errorf("the application was told %q ms", got)
	}
	return nil
}

func (c caller) cancelledSoFar() (int, error) {
	got, err := c.unary("Count", []byte("x"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(got))
}

// ends has the server tell that it saw one more call of Wait end.
func (c caller) ends(run func() error) error {
	before, err := c.cancelledSoFar()
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if now, err := c.cancelledSoFar(); err != nil || now > before {
			return err
		}
	}
	return fmt.Errorf("the application never saw it end")
}

func (c caller) expiry() error {
	return c.ends(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		sent, got := []byte("x"), []byte(nil)
		err := c.conn.Invoke(ctx, "/checks.Echo/Wait", &sent, &got)
		if status.Code(err) != codes.DeadlineExceeded {
			return fmt.Errorf("ended with %v", err)
		}
		return nil
	})
}

func (c caller) cancel() error {
	return c.ends(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stream, err := c.open(ctx, "Wait")
		if err != nil {
			return err
		}
		if _, err := stream.Header(); err != nil {
			return err
		}
		cancel()
		var got []byte
		if err := stream.RecvMsg(&got); status.Code(err) != codes.Canceled {
			return fmt.Errorf("ended with %v", err)
		}
		return nil
	})
}

func (c caller) bigMessage() error {
	sent := bytes.Repeat([]byte("0123456789abcdef"), messageBytes/16)
	got, err := c.unary("Big", sent)
	if err == nil && !bytes.Equal(sent, got) {
		return fmt.Errorf("%d of %d bytes came back", len(got), len(sent))
	}
	return err
}

func (c caller) shortStreams() error {
	var all sync.WaitGroup
	var told result
	for count := 0; count < 600; count++ {
		all.Add(1)
		go func(count int) {
			defer all.Done()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			stream, err := c.open(ctx, "Bidi")
			if err != nil {
				told.note(err)
				return
			}
			sent, got := []byte(strconv.Itoa(count)), []byte(nil)
			_ = stream.SendMsg(&sent)
			if count%2 == 0 {
				return // the deferred cancel ends it
			}
			if err := stream.RecvMsg(&got); err != nil || string(got) != string(sent) {
				told.note(fmt.Errorf("%q for %q: %v", got, sent, err))
			}
		}(count)
	}
	all.Wait()
	if told.Failed > 0 {
		return fmt.Errorf("%d failed: %s", told.Failed, told.First)
	}
	return nil
}

func (c caller) serverStream() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := c.open(ctx, "Many")
	if err != nil {
		return err
	}
	sent := []byte("500")
	_ = stream.SendMsg(&sent)
	_ = stream.CloseSend()
	for count := 0; ; count++ {
		var got []byte
		if err := stream.RecvMsg(&got); err != nil {
			if err.Error() == "EOF" && count == 500 {
				return nil
			}
			return fmt.Errorf("after %d messages: %v", count, err)
		}
	}
}

func (c caller) bidi() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := c.open(ctx, "Bidi")
	if err != nil {
		return err
	}
	for count := 0; count < 200; count++ {
		sent, got := []byte(strconv.Itoa(count)), []byte(nil)
		if err := stream.SendMsg(&sent); err != nil {
			return err
		}
		if err := stream.RecvMsg(&got); err != nil || string(got) != string(sent) {
			return fmt.Errorf("%q for %q: %v", got, sent, err)
		}
	}
	_ = stream.CloseSend()
	var got []byte
	if err := stream.RecvMsg(&got); err == nil || err.Error() != "EOF" {
		return fmt.Errorf("ended with %v", err)
	}
	return nil
}

// stuckUploads keeps 20 uploads open that the application does not read, while others call.
func (c caller) stuckUploads() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for count := 0; count < 20; count++ {
		stream, err := c.open(ctx, "Wait")
		if err != nil {
			return err
		}
		if _, err := stream.Header(); err != nil {
			return err
		}
		go func() {
			part := make([]byte, 16_000)
			for stream.SendMsg(&part) == nil {
			}
		}()
	}
	for count := 0; count < 100; count++ {
		if _, err := c.unary("Unary", make([]byte, 1000)); err != nil {
			return fmt.Errorf("call %d beside them: %v", count, err)
		}
	}
	return nil
}

func cases(path, authority string) error {
	dial := func() (*grpc.ClientConn, error) {
		return grpc.Dial("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(2*messageBytes)))
	}
	conn, err := dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	c := caller{conn}
	told := map[string]string{}
	for name, run := range map[string]func() error{
		"20 kB of metadata, spaces, binary values":  c.metadata,
		"17 kB of trailers, a message with spaces":  c.trailers,
		"what remains of a deadline is told":        c.deadline,
		"a deadline that passes":                    c.expiry,
		"a cancel":                                  c.cancel,
		"a message of 6 MiB":                        c.bigMessage,
		"600 short streams, half of them cancelled": c.shortStreams,
		"a server stream":                           c.serverStream,
		"a bidirectional stream":                    c.bidi,
		"20 uploads that nobody reads":              c.stuckUploads,
	} {
		told[name] = ""
		if err := run(); err != nil {
			told[name] = err.Error()
		}
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}
