package main

import (
	"errors"
	"fmt"
	"slices"

	. "fleuve/e2e/harness"

	"github.com/IBM/sarama"
)

// offsets by time, seeking, pausing, lag.
func offsets() {
	topic := create(Name("offsets"), 2, nil)
	var records []Record
	for number := range 200 {
		record := Numbered(number)
		record.Partition = number % 2
		records = append(records, record)
	}
	library{}.Send(topic, records, Sent)
	client := Must(sarama.NewClient(brokers(), config()))
	for _, wanted := range [][2]int64{{-5, 0}, {100, 50}, {101, 51}, {10_000, -1}} {
		offset := Must(client.GetOffset(topic, 0, EpochMs+wanted[0]))
		Equal(fmt.Sprintf("offset after %d", wanted[0]), offset, wanted[1])
	}
	consumer := Must(sarama.NewConsumerFromClient(client))
	tail := Must(consumer.ConsumePartition(topic, 1, 95))
	for offset := int64(95); offset < 100; offset++ {
		message := <-tail.Messages()
		Equal("offset", message.Offset, offset)
		Equal("high watermark", tail.HighWaterMarkOffset(), int64(100))
	}
	Ok(tail.Close())
	_, err := consumer.ConsumePartition(topic, 1, 1000)
	Check(fmt.Sprintf("behind the end: %v", err), errors.Is(err, sarama.ErrOffsetOutOfRange))
	lag(topic)
}

func lag(topic string) {
	group := Name("lagging")
	client := Must(sarama.NewClient(brokers(), config()))
	manager := Must(sarama.NewOffsetManagerFromClient(group, client))
	for partition, offset := range map[int32]int64{0: 30, 1: 70} {
		place := Must(manager.ManagePartition(topic, partition))
		place.MarkOffset(offset, fmt.Sprintf("at %d", offset))
	}
	manager.Commit()
	Ok(manager.Close())
	listed := Must(adminClient().ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1}}))
	for partition, wanted := range []int64{70, 30} {
		end := Must(client.GetOffset(topic, int32(partition), sarama.OffsetNewest))
		block := listed.GetBlock(topic, int32(partition))
		Equal("lag", end-block.Offset, wanted)
		Equal("metadata", block.Metadata, fmt.Sprintf("at %d", block.Offset))
	}
}

func fails(err error, wanted sarama.KError) {
	Check(fmt.Sprintf("got %v, want %v", err, wanted), errors.Is(err, wanted))
}

func value(text string) *string { return &text }

func admin() {
	nodes, controller, err := adminClient().DescribeCluster()
	Ok(err)
	Equal("brokers", nodes[0].Addr(), Bootstrap)
	Equal("controller", controller, nodes[0].ID())
	topics()
	configs()
	records()
	groups()
}

func topics() {
	topic := create(Name("admin"), 3, nil)
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}
	fails(adminClient().CreateTopic(topic, detail, false), sarama.ErrTopicAlreadyExists)
	Ok(adminClient().CreateTopic(Name("only-checked"), detail, true))
	Ok(adminClient().CreatePartitions(topic, 5, nil, false))
	partitions := func() int { return len(Must(adminClient().DescribeTopics([]string{topic}))[0].Partitions) }
	Until("more partitions", func() bool { return partitions() == 5 }, func() any { return partitions() })
	fails(adminClient().CreatePartitions(topic, 2, nil, false), sarama.ErrInvalidPartitions)
	Ok(adminClient().DeleteTopic(topic))
	fails(adminClient().DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition)
	Until("deleted", func() bool { _, there := Must(adminClient().ListTopics())[topic]; return !there }, func() any { return "" })
	_, there := Must(adminClient().ListTopics())[Name("only-checked")]
	Check("only checked", !there)
}

func configs() {
	topic := create(Name("configs"), 1, map[string]*string{"retention.ms": value("86400000")})
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic}
	expect := func(key, wanted string, source sarama.ConfigSource) {
		entries := Must(adminClient().DescribeConfig(resource))
		at := slices.IndexFunc(entries, func(e sarama.ConfigEntry) bool { return e.Name == key })
		Equal(key, []any{entries[at].Value, entries[at].Source}, []any{wanted, source})
	}
	expect("retention.ms", "86400000", sarama.SourceTopic)
	expect("cleanup.policy", "delete", sarama.SourceDefault)
	set := map[string]sarama.IncrementalAlterConfigsEntry{
		"segment.bytes":  {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: value("1048576")},
		"cleanup.policy": {Operation: sarama.IncrementalAlterConfigsOperationAppend, Value: value("compact")},
	}
	Ok(adminClient().IncrementalAlterConfig(sarama.TopicResource, topic, set, false))
	expect("segment.bytes", "1048576", sarama.SourceTopic)
	expect("cleanup.policy", "delete,compact", sarama.SourceTopic)
	expect("retention.ms", "86400000", sarama.SourceTopic)
	Ok(adminClient().AlterConfig(sarama.TopicResource, topic, map[string]*string{"max.message.bytes": value("2000000")}, false))
	expect("max.message.bytes", "2000000", sarama.SourceTopic)
	expect("cleanup.policy", "delete", sarama.SourceDefault)
}

func records() {
	topic := create(Name("records"), 1, nil)
	var sent []Record
	for number := 0; number < 400; number += 4 {
		sent = append(sent, Numbered(number))
	}
	sent[7].Timestamp = EpochMs + 1_000_000
	library{}.Send(topic, sent, Sent)
	listed := func(of int64) int64 {
		result := Must(adminClient().ListOffsets(map[string]map[int32]int64{topic: {0: of}}, nil))[topic][0]
		Check(fmt.Sprint(result.Err), result.Err == nil || result.Err == sarama.ErrNoError)
		return result.Offset
	}
	Equal("ends", []int64{listed(sarama.OffsetOldest), listed(sarama.OffsetNewest)}, []int64{0, 100})
	Ok(adminClient().DeleteRecords(topic, map[int32]int64{0: 40}))
	Equal("start after it", listed(sarama.OffsetOldest), int64(40))
	left := library{}.Read(topic, 60, 1, false)[0]
	Equal("what is left", []int64{left[0].Offset, left[59].Offset}, []int64{40, 99})
}

func groups() {
	topic, group := create(Name("grouped"), 6, nil), Name("admin-group")
	m := library{}.Member(group, topic, "eager", "")
	library{}.Send(topic, []Record{Plain(0, []byte("0"))[0], Plain(1, []byte("1"))[0]}, Sent)
	Until("both seen", func() bool { return len(m.Seen()) == 2 }, func() any { return len(m.Seen()) })
	Ok(m.Commit())
	described := Must(adminClient().DescribeConsumerGroups([]string{group}))[0]
	Equal("described", []string{described.State, described.ProtocolType, described.Protocol}, []string{"Stable", "consumer", "range"})
	Equal("members", len(described.Members), 1)
	Equal("listed", Must(adminClient().ListConsumerGroups())[group], "consumer")
	fails(adminClient().DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup)
	m.Close()
	Equal("committed", []int64{m.Committed(topic, 0), m.Committed(topic, 1)}, []int64{1, 1})
	Ok(adminClient().DeleteConsumerGroupOffset(group, topic, 0))
	Equal("committed", []int64{m.Committed(topic, 0), m.Committed(topic, 1)}, []int64{-1, 1})
	Ok(adminClient().DeleteConsumerGroup(group))
	fails(adminClient().DeleteConsumerGroup(group), sarama.ErrGroupIDNotFound)
}
