// sarama.
package main

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	. "fleuve/e2e/harness"

	"github.com/IBM/sarama"
)

type library struct{}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	return config
}

func brokers() []string { return []string{Bootstrap} }

var adminClient = sync.OnceValue(func() sarama.ClusterAdmin { return Must(sarama.NewClusterAdmin(brokers(), config())) })

func (library) Create(topic string, partitions int) string { return create(topic, partitions, nil) }

func create(topic string, partitions int, configs map[string]*string) string {
	detail := sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: configs}
	Ok(adminClient().CreateTopic(topic, &detail, false))
	// A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice.
	places := map[int32]int64{}
	for partition := range partitions {
		places[int32(partition)] = sarama.OffsetOldest
	}
	led := func() bool {
		listed, err := adminClient().ListOffsets(map[string]map[int32]int64{topic: places}, nil)
		for _, result := range listed[topic] {
			if result.Err != nil && result.Err != sarama.ErrNoError {
				return false
			}
		}
		return err == nil && len(listed[topic]) == partitions
	}
	Until(topic+" has leaders", led, func() any { return "" })
	return topic
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	"zstd": sarama.CompressionZSTD,
}

func (library) Send(topic string, records []Record, how How) (offsets []int64) {
	config := config()
	config.Producer.Compression = codecs[how.Codec]
	config.Producer.RequiredAcks = sarama.RequiredAcks(how.Acks)
	if how.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	sender := Must(sarama.NewSyncProducer(brokers(), config))
	defer sender.Close()
	var messages []*sarama.ProducerMessage
	for _, r := range records {
		message := &sarama.ProducerMessage{Topic: topic, Partition: int32(r.Partition), Timestamp: time.UnixMilli(r.Timestamp)}
		if r.Key != nil {
			message.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			message.Value = sarama.ByteEncoder(r.Value)
		}
		for _, header := range r.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
		messages = append(messages, message)
	}
	Ok(sender.SendMessages(messages))
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
	}
	return offsets
}

func seen(message *sarama.ConsumerMessage) Seen {
	var headers []Header
	for _, header := range message.Headers {
		headers = append(headers, Header{Key: string(header.Key), Value: header.Value})
	}
	return Seen{Offset: message.Offset, Key: message.Key, Value: message.Value, Headers: headers, Timestamp: message.Timestamp.UnixMilli()}
}

func (library) Read(topic string, count, partitions int, committed bool) map[int][]Seen {
	config := config()
	if committed {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	reader := Must(sarama.NewConsumer(brokers(), config))
	defer reader.Close()
	all := make(chan *sarama.ConsumerMessage)
	for partition := range partitions {
		place := Must(reader.ConsumePartition(topic, int32(partition), sarama.OffsetOldest))
		defer place.AsyncClose()
		go func() {
			for message := range place.Messages() {
				all <- message
			}
		}()
	}
	found := map[int][]Seen{}
	patience := time.After(Patience)
	for enough := (<-chan time.Time)(nil); ; {
		if Total(found) >= count && enough == nil {
			enough = time.After(300 * time.Millisecond)
		}
		select {
		case message := <-all:
			found[int(message.Partition)] = append(found[int(message.Partition)], seen(message))
		case <-enough:
			go func() {
				for range all {
				}
			}()
			Equal("records read", Total(found), count)
			return found
		case <-patience:
			panic(fmt.Sprintf("%d records of %s: %d within %s", count, topic, Total(found), Patience))
		}
	}
}

// CommitsSilently because a session's commit has no result.
func (library) CommitsSilently() {}

// groups

type member struct {
	group    string
	client   sarama.Client
	consumer sarama.ConsumerGroup
	stop     context.CancelFunc
	done     chan struct{}
	mutex    sync.Mutex
	session  sarama.ConsumerGroupSession
	assigned []int
	lostAll  int
	seen     []Value
}

func (library) Member(group, topic, protocol, instance string) Member {
	config := config()
	config.Consumer.Group.Session.Timeout = 10 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Consumer.Group.InstanceId = instance
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	if protocol == "cooperative" {
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	}
	m := &member{group: group, client: Must(sarama.NewClient(brokers(), config)), done: make(chan struct{})}
	m.consumer = Must(sarama.NewConsumerGroupFromClient(group, m.client))
	running, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() {
		for range m.consumer.Errors() {
		}
	}()
	go func() {
		defer close(m.done)
		for running.Err() == nil {
			_ = m.consumer.Consume(running, []string{topic}, m)
		}
	}()
	return m
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim lasts as long as the partition is ours.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	partition := int(claim.Partition())
	m.mutex.Lock()
	m.assigned = append(m.assigned, partition)
	sort.Ints(m.assigned)
	m.mutex.Unlock()
	for message := range claim.Messages() {
		m.mutex.Lock()
		m.seen = append(m.seen, Value{Partition: partition, Offset: message.Offset, Value: string(message.Value)})
		session.MarkMessage(message, "")
		m.mutex.Unlock()
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.assigned = slices.DeleteFunc(m.assigned, func(p int) bool { return p == partition })
	if len(m.assigned) == 0 {
		m.lostAll++
	}
	return nil
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

// Commit has no result here; what counts is what the broker says afterwards.
func (m *member) Commit() error {
	m.mutex.Lock()
	session := m.session
	m.mutex.Unlock()
	session.Commit()
	return nil
}

func (m *member) Committed(topic string, partition int) int64 {
	response := Must(adminClient().ListConsumerGroupOffsets(m.group, map[string][]int32{topic: {int32(partition)}}))
	block := response.GetBlock(topic, int32(partition))
	Equal("error of the offset", block.Err, sarama.ErrNoError)
	return block.Offset
}

func (m *member) Close() {
	m.stop()
	<-m.done
	Ok(m.consumer.Close())
	Ok(m.client.Close())
}

// transactions

type transactional struct{ producer sarama.SyncProducer }

func (library) Transactional(id string) Transactional {
	config := config()
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Transaction.ID = id
	config.Net.MaxOpenRequests = 1
	return transactional{Must(sarama.NewSyncProducer(brokers(), config))}
}

func (t transactional) Begin() { Ok(t.producer.BeginTxn()) }

func (t transactional) Send(topic string, partition int, value string) {
	message := &sarama.ProducerMessage{Topic: topic, Partition: int32(partition), Value: sarama.StringEncoder(value)}
	_, _, err := t.producer.SendMessage(message)
	Ok(err)
}

func (t transactional) Flush() {}

func (t transactional) Commit() error { return t.producer.CommitTxn() }

func (t transactional) Abort() { Ok(t.producer.AbortTxn()) }

func (t transactional) SendOffsets(m Member, topic string, offset int64) {
	both := []*sarama.PartitionOffsetMetadata{{Partition: 0, Offset: offset}, {Partition: 1, Offset: offset}}
	Ok(t.producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{topic: both}, m.(*member).group))
}

func main() {
	Run(library{}, map[string]func(){"offsets": offsets, "admin": admin, "security": security})
}
