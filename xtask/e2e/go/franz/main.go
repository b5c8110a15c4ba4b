// franz-go.
package main

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	. "fleuve/e2e/harness"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type franz struct{}

var background = context.Background()

func client(options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.SeedBrokers(Bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1_000_000)}
	return Must(kgo.NewClient(append(base, options...)...))
}

var adminClient = sync.OnceValue(func() *kadm.Client { return kadm.NewClient(client()) })

func (franz) Create(topic string, partitions int) string { return create(topic, partitions, nil) }

func create(topic string, partitions int, configs map[string]*string) string {
	Must(adminClient().CreateTopic(background, int32(partitions), 1, configs, topic))
	// A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice.
	led := func() bool {
		offsets, err := adminClient().ListStartOffsets(background, topic)
		return err == nil && offsets.Error() == nil && len(offsets[topic]) == partitions
	}
	Until(topic+" has leaders", led, func() any { return "" })
	return topic
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
	"zstd": kgo.ZstdCompression(),
}

func (franz) Send(topic string, records []Record, how How) []int64 {
	options := []kgo.Opt{kgo.ProducerBatchCompression(codecs[how.Codec])}
	if !how.Idempotent {
		acks := map[int]kgo.Acks{0: kgo.NoAck(), 1: kgo.LeaderAck(), -1: kgo.AllISRAcks()}[how.Acks]
		options = append(options, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(acks))
	}
	if how.Acks != -1 {
		options = append(options, kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	sender := client(options...)
	defer sender.Close()
	var sent []*kgo.Record
	for _, r := range records {
		record := &kgo.Record{Topic: topic, Partition: int32(r.Partition), Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, header := range r.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
		sent = append(sent, record)
	}
	results := sender.ProduceSync(background, sent...)
	Ok(results.FirstErr())
	var offsets []int64
	for _, record := range sent {
		offsets = append(offsets, record.Offset)
	}
	return offsets
}

func seen(record *kgo.Record) Seen {
	Equal("timestamp type", record.Attrs.TimestampType(), int8(0))
	var headers []Header
	for _, header := range record.Headers {
		headers = append(headers, Header{Key: header.Key, Value: header.Value})
	}
	return Seen{Offset: record.Offset, Key: record.Key, Value: record.Value, Headers: headers, Timestamp: record.Timestamp.UnixMilli()}
}

func (franz) Read(topic string, count, partitions int, committed bool) map[int][]Seen {
	places := map[int32]kgo.Offset{}
	for partition := range partitions {
		places[int32(partition)] = kgo.NewOffset().AtStart()
	}
	options := []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: places})}
	if committed {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	reader := client(options...)
	defer reader.Close()
	found := map[int][]Seen{}
	poll := func(patience time.Duration) {
		limited, cancel := context.WithTimeout(background, patience)
		defer cancel()
		fetches := reader.PollFetches(limited)
		fetches.EachError(func(_ string, _ int32, err error) { Check(err.Error(), err == context.DeadlineExceeded) })
		fetches.EachRecord(func(record *kgo.Record) {
			found[int(record.Partition)] = append(found[int(record.Partition)], seen(record))
		})
	}
	enough := func() bool {
		poll(time.Second)
		return Total(found) >= count
	}
	Until(fmt.Sprintf("%d records of %s", count, topic), enough, func() any { return Total(found) })
	poll(300 * time.Millisecond)
	Equal("records read", Total(found), count)
	return found
}

// GroupType because franz-go takes the classic protocol, and says nothing, where the broker lacks the new one.
func (franz) GroupType(group string) string {
	for _, kind := range []string{"classic", "consumer"} {
		if _, listed := Must(adminClient().ListGroupsByType(background, []string{kind}))[group]; listed {
			return kind
		}
	}
	return "unknown"
}

// groups

type member struct {
	client   *kgo.Client
	group    string
	mutex    sync.Mutex
	assigned []int
	lostAll  int
	seen     []Value
	done     chan struct{}
}

func (franz) Member(group, topic, protocol, instance string) Member {
	m := &member{group: group, done: make(chan struct{})}
	options := []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsAssigned(m.onAssigned),
		kgo.OnPartitionsRevoked(m.onRevoked), kgo.OnPartitionsLost(m.onRevoked), kgo.RequireStableFetchOffsets(),
	}
	if protocol != "consumer" {
		options = append(options, kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(10*time.Second))
	}
	switch protocol {
	case "eager":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "cooperative":
		options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	case "consumer":
		options = append(options, kgo.ServerSideBalancer())
	}
	if instance != "" {
		options = append(options, kgo.InstanceID(instance))
	}
	m.client = client(options...)
	go m.poll()
	return m
}

func (m *member) onAssigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, partitions := range added {
		for _, partition := range partitions {
			m.assigned = append(m.assigned, int(partition))
		}
	}
	sort.Ints(m.assigned)
}

func (m *member) onRevoked(_ context.Context, _ *kgo.Client, removed map[string][]int32) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, partitions := range removed {
		m.assigned = slices.DeleteFunc(m.assigned, func(p int) bool { return slices.Contains(partitions, int32(p)) })
		if len(m.assigned) == 0 && len(partitions) > 0 {
			m.lostAll++
		}
	}
}

func (m *member) poll() {
	defer close(m.done)
	for {
		fetches := m.client.PollFetches(background)
		if fetches.IsClientClosed() {
			return
		}
		m.mutex.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			m.seen = append(m.seen, Value{Partition: int(r.Partition), Offset: r.Offset, Value: string(r.Value)})
		})
		m.mutex.Unlock()
		m.client.AllowRebalance()
	}
}

func (m *member) Assigned() []int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.assigned)
}

func (m *member) LostAll() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.lostAll
}

func (m *member) Seen() []Value {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.seen)
}

// Commit without retries: the response's errors are what counts.
func (m *member) Commit() (failure error) {
	committed := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		failure = err
		for _, topic := range response.Topics {
			for _, partition := range topic.Partitions {
				if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
					failure = err
				}
			}
		}
	}
	if offsets := m.client.UncommittedOffsets(); len(offsets) > 0 {
		m.client.CommitOffsetsSync(background, offsets, committed)
	} else if offsets := m.client.CommittedOffsets(); len(offsets) > 0 {
		m.client.CommitOffsetsSync(background, offsets, committed)
	}
	return failure
}

func (m *member) Committed(topic string, partition int) int64 {
	offsets := Must(adminClient().FetchOffsets(background, m.group))
	if offset, ok := offsets.Lookup(topic, int32(partition)); ok {
		Ok(offset.Err)
		return offset.At
	}
	return -1
}

func (m *member) Close() {
	m.client.CloseAllowingRebalance()
	<-m.done
}

// transactions

type transactional struct{ client *kgo.Client }

func (franz) Transactional(id string) Transactional {
	t := transactional{client(kgo.TransactionalID(id))}
	_, _, err := t.client.ProducerID(background)
	Ok(err)
	return t
}

func (t transactional) Begin() { Ok(t.client.BeginTransaction()) }

func (t transactional) Send(topic string, partition int, value string) {
	t.client.Produce(background, &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte(value)}, nil)
}

func (t transactional) Flush() { Ok(t.client.Flush(background)) }

func (t transactional) Commit() error {
	t.Flush()
	return t.client.EndTransaction(background, kgo.TryCommit)
}

func (t transactional) Abort() { Ok(t.client.EndTransaction(background, kgo.TryAbort)) }

// As kgo's own session does it: the offsets join the transaction, then are committed in it.
func (t transactional) SendOffsets(m Member, topic string, offset int64) {
	group := m.(*member)
	id, epoch, err := t.client.ProducerID(background)
	Ok(err)
	transactionalID := t.client.OptValue(kgo.TransactionalID).(string)
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = transactionalID, id, epoch, group.group
	Ok(kerr.ErrorForCode(Must(add.RequestWith(background, t.client)).ErrorCode))
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group = transactionalID, id, epoch, group.group
	commit.MemberID, commit.Generation = group.client.GroupMetadata()
	requested := kmsg.NewTxnOffsetCommitRequestTopic()
	requested.Topic, requested.TopicID = topic, Must(adminClient().ListTopics(background, topic))[topic].ID
	for partition := range int32(2) {
		place := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		place.Partition, place.Offset = partition, offset
		requested.Partitions = append(requested.Partitions, place)
	}
	commit.Topics = append(commit.Topics, requested)
	for _, topic := range Must(commit.RequestWith(background, t.client)).Topics {
		for _, partition := range topic.Partitions {
			Ok(kerr.ErrorForCode(partition.ErrorCode))
		}
	}
}

func main() {
	Run(franz{}, map[string]func(){"offsets": offsets, "admin": admin, "security": security})
}
