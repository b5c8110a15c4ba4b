// kafka-go.
package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sort"
	"sync"
	"time"

	. "fleuve/e2e/harness"

	"github.com/segmentio/kafka-go"
)

type library struct{}

var (
	background = context.Background()
	address    = func() net.Addr { return kafka.TCP(Bootstrap) }()
	client     = &kafka.Client{Addr: address, Timeout: 20 * time.Second}
)

func (library) Create(topic string, partitions int) string { return create(topic, partitions) }

func create(topic string, partitions int, entries ...kafka.ConfigEntry) string {
	wanted := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries}
	answer := Must(client.CreateTopics(background, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}}))
	Ok(answer.Errors[topic])
	// A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice.
	led := func() bool { return listed(topic, partitions) != nil }
	Until(topic+" has leaders", led, func() any { return "" })
	return topic
}

// listed tells the first and last offsets of all partitions, or nothing when one is not there yet.
func listed(topic string, partitions int) []kafka.PartitionOffsets {
	var requests []kafka.OffsetRequest
	for partition := range partitions {
		requests = append(requests, kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition))
	}
	answer, err := client.ListOffsets(background, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: requests}})
	if err != nil || len(answer.Topics[topic]) != partitions {
		return nil
	}
	for _, partition := range answer.Topics[topic] {
		if partition.Error != nil {
			return nil
		}
	}
	slices.SortFunc(answer.Topics[topic], func(a, b kafka.PartitionOffsets) int { return a.Partition - b.Partition })
	return answer.Topics[topic]
}

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// The partition travels in a field that the writer does not send.
type byRecord struct{}

func (byRecord) Balance(message kafka.Message, _ ...int) int { return message.WriterData.(int) }

func (library) Send(topic string, records []Record, how How) []int64 {
	acks := kafka.RequiredAcks(how.Acks)
	sender := &kafka.Writer{
		Addr: address, Topic: topic, Balancer: byRecord{}, RequiredAcks: acks, Compression: codecs[how.Codec],
		BatchTimeout: 5 * time.Millisecond, BatchSize: 10_000, // one batch a partition: without acks the order of two is open
	}
	var messages []kafka.Message
	for _, r := range records {
		message := kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp), WriterData: r.Partition}
		for _, header := range r.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: header.Key, Value: header.Value})
		}
		messages = append(messages, message)
	}
	Ok(sender.WriteMessages(background, messages...))
	Ok(sender.Close())
	return nil
}

func seen(message kafka.Message) Seen {
	var headers []Header
	for _, header := range message.Headers {
		headers = append(headers, Header{Key: header.Key, Value: Told(header.Value)})
	}
	return Seen{
		Offset: message.Offset, Key: Told(message.Key), Value: Told(message.Value), Headers: headers,
		Timestamp: message.Time.UnixMilli(),
	}
}

// Read reads one partition after the other: a reader of kafka-go has just one.
func (library) Read(topic string, count, partitions int, committed bool) map[int][]Seen {
	found := map[int][]Seen{}
	written := func() (total int) {
		for _, partition := range listed(topic, partitions) {
			total += int(partition.LastOffset - partition.FirstOffset)
		}
		return total
	}
	Until(fmt.Sprintf("%d records", count), func() bool { return written() >= count }, func() any { return written() })
	for _, partition := range listed(topic, partitions) {
		if partition.LastOffset > partition.FirstOffset {
			records := readPartition(topic, partition.Partition, partition.FirstOffset, partition.LastOffset, committed)
			found[partition.Partition] = records
		}
	}
	Equal("records read", Total(found), count)
	return found
}

func readPartition(topic string, partition int, first, last int64, committed bool) (records []Seen) {
	isolation := kafka.ReadUncommitted
	if committed {
		isolation = kafka.ReadCommitted
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{Bootstrap}, Topic: topic, Partition: partition, MaxWait: 100 * time.Millisecond, IsolationLevel: isolation,
		MinBytes: 1, MaxBytes: 10_000_000,
	})
	defer reader.Close()
	Ok(reader.SetOffset(first))
	limited, cancel := context.WithTimeout(background, Patience)
	defer cancel()
	for len(records) == 0 || records[len(records)-1].Offset < last-1 {
		records = append(records, seen(Must(reader.ReadMessage(limited))))
	}
	return records
}

// groups

// member joins generation after generation, and in each reads the partitions assigned to it.
type member struct {
	group, topic string
	consumer     *kafka.ConsumerGroup
	stop         context.CancelFunc
	done         chan struct{}
	mutex        sync.Mutex
	generation   *kafka.Generation
	assigned     []int
	lostAll      int
	next         map[int]int64
	seen         []Value
}

func (library) Member(group, topic, protocol, instance string) Member {
	m := &member{group: group, topic: topic, done: make(chan struct{}), next: map[int]int64{}}
	m.consumer = Must(kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{Bootstrap}, Topics: []string{topic}, HeartbeatInterval: 300 * time.Millisecond,
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second, StartOffset: kafka.FirstOffset,
		JoinGroupBackoff: 500 * time.Millisecond,
	}))
	running, stop := context.WithCancel(background)
	m.stop = stop
	go func() {
		defer close(m.done)
		for {
			generation, err := m.consumer.Next(running)
			switch {
			case running.Err() != nil:
				return
			case err == nil:
				m.begin(generation)
			}
		}
	}()
	return m
}

func (m *member) begin(generation *kafka.Generation) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.generation, m.assigned, m.next = generation, nil, map[int]int64{}
	for _, assignment := range generation.Assignments[m.topic] {
		m.assigned = append(m.assigned, assignment.ID)
		generation.Start(func(running context.Context) { m.read(running, assignment) })
	}
	sort.Ints(m.assigned)
	generation.Start(func(running context.Context) {
		<-running.Done()
		m.mutex.Lock()
		defer m.mutex.Unlock()
		m.assigned, m.lostAll = nil, m.lostAll+1
	})
}

func (m *member) read(running context.Context, assignment kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{Bootstrap}, Topic: m.topic, Partition: assignment.ID, MaxWait: 100 * time.Millisecond, MinBytes: 1,
		MaxBytes: 1_000_000,
	})
	defer reader.Close()
	Ok(reader.SetOffset(assignment.Offset))
	for {
		message, err := reader.ReadMessage(running)
		if err != nil {
			return
		}
		m.mutex.Lock()
		m.seen = append(m.seen, Value{Partition: message.Partition, Offset: message.Offset, Value: string(message.Value)})
		m.next[message.Partition] = message.Offset + 1
		m.mutex.Unlock()
	}
}

func (m *member) Assigned() []int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.assigned)
}

func (m *member) LostAll() int { return m.lostAll }

func (m *member) Seen() []Value {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.seen)
}

func (m *member) Commit() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.generation.CommitOffsets(map[string]map[int]int64{m.topic: m.next})
}

func (m *member) Committed(topic string, partition int) int64 {
	request := &kafka.OffsetFetchRequest{GroupID: m.group, Topics: map[string][]int{topic: {partition}}}
	answer := Must(client.OffsetFetch(background, request))
	Ok(answer.Error)
	return answer.Topics[topic][0].CommittedOffset
}

func (m *member) Close() {
	m.stop()
	<-m.done
	Ok(m.consumer.Close())
}

func (library) Transactional(string) Transactional { panic("kafka-go's writer has no transactions") }

func main() {
	EmptyIsNull = true
	Run(library{}, map[string]func(){"offsets": offsets, "admin": admin, "security": security})
}

func offsets() {
	topic := create(Name("offsets"), 2)
	var records []Record
	for number := range 200 {
		record := Numbered(number)
		record.Partition = number % 2
		records = append(records, record)
	}
	library{}.Send(topic, records, Sent)
	dialed := Must(kafka.DialLeader(background, "tcp", Bootstrap, topic, 0))
	for _, wanted := range [][2]int64{{-5, 0}, {100, 50}, {101, 51}} {
		offset := Must(dialed.ReadOffset(time.UnixMilli(EpochMs + wanted[0])))
		Equal(fmt.Sprintf("offset after %d", wanted[0]), offset, wanted[1])
	}
	first, last, err := dialed.ReadOffsets()
	Ok(err)
	Equal("ends", []int64{first, last}, []int64{0, 100})
	Must(dialed.Seek(42, kafka.SeekAbsolute))
	message := Must(dialed.ReadMessage(1_000_000))
	Equal("after the seek", []int64{message.Offset, message.Time.UnixMilli() - EpochMs}, []int64{42, 84})
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{Bootstrap}, Topic: topic, Partition: 1})
	Ok(reader.SetOffsetAt(background, time.UnixMilli(EpochMs+191)))
	Equal("by time", Must(reader.ReadMessage(background)).Offset, int64(95))
	Equal("lag", Must(reader.ReadLag(background)), int64(4))
	Ok(reader.Close())
}

func admin() {
	metadata := Must(client.Metadata(background, &kafka.MetadataRequest{}))
	Equal("brokers", fmt.Sprintf("%s:%d", metadata.Brokers[0].Host, metadata.Brokers[0].Port), Bootstrap)
	topic := create(Name("admin"), 3, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "86400000"})
	again := Must(client.CreateTopics(background, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 3, ReplicationFactor: 1}},
	}))
	Equal("made twice", fmt.Sprint(again.Errors[topic]), fmt.Sprint(kafka.TopicAlreadyExists)+fmt.Sprintf(": Topic '%s' already exists.", topic))
	more := kafka.TopicPartitionsConfig{Name: topic, Count: 5}
	Ok(Must(client.CreatePartitions(background, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{more}})).Errors[topic])
	Until("more partitions", func() bool { return len(partitionsOf(topic)) == 5 }, func() any { return partitionsOf(topic) })
	resource := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}
	described := Must(client.DescribeConfigs(background, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{resource}}))
	values := map[string]string{}
	for _, entry := range described.Resources[0].ConfigEntries {
		values[entry.ConfigName] = entry.ConfigValue
	}
	Equal("configs", []string{values["retention.ms"], values["cleanup.policy"]}, []string{"86400000", "delete"})
	groups()
	Ok(Must(client.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{topic}})).Errors[topic])
	Until("deleted", func() bool { return partitionsOf(topic) == nil }, func() any { return partitionsOf(topic) })
}

// partitionsOf asks for all topics, since a question for one may create it.
func partitionsOf(topic string) []kafka.Partition {
	for _, one := range Must(client.Metadata(background, &kafka.MetadataRequest{})).Topics {
		if one.Name == topic {
			return one.Partitions
		}
	}
	return nil
}

func groups() {
	topic, group := create(Name("grouped"), 6), Name("admin-group")
	m := library{}.Member(group, topic, "eager", "")
	library{}.Send(topic, Plain(0, []byte("0")), Sent)
	Until("seen", func() bool { return len(m.Seen()) == 1 }, func() any { return len(m.Seen()) })
	Ok(m.Commit())
	described := Must(client.DescribeGroups(background, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})).Groups[0]
	Equal("described", []any{described.GroupState, len(described.Members)}, []any{"Stable", 1})
	listed := Must(client.ListGroups(background, &kafka.ListGroupsRequest{}))
	Check("listed", slices.ContainsFunc(listed.Groups, func(g kafka.ListGroupsResponseGroup) bool { return g.GroupID == group }))
	m.Close()
	Equal("committed", m.Committed(topic, 0), int64(1))
	Ok(Must(client.DeleteGroups(background, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})).Errors[group])
}
