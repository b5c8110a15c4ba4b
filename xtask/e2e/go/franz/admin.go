package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "fleuve/e2e/harness"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
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
	franz{}.Send(topic, records, Sent)
	for _, wanted := range [][2]int64{{-5, 0}, {100, 50}, {101, 51}} {
		listed := Must(adminClient().ListOffsetsAfterMilli(background, EpochMs+wanted[0], topic))
		Equal(fmt.Sprintf("offset after %d", wanted[0]), listed[topic][0].Offset, wanted[1])
	}
	late := Must(adminClient().ListOffsetsAfterMilli(background, EpochMs+10_000, topic))
	Equal("after everything", late[topic][0].Offset, int64(100)) // kadm asks for the end when there is none
	places := map[int32]kgo.Offset{0: kgo.NewOffset().At(90), 1: kgo.NewOffset().AfterMilli(EpochMs + 191)}
	reader := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: places}))
	Equal("from 90 and by time", polled(reader, 15), append(placesOf(0, 90), placesOf(1, 95)...))
	reader.PauseFetchPartitions(map[string][]int32{topic: {1}})
	reader.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {0: {Epoch: -1, Offset: 42}, 1: {Epoch: -1, Offset: 0}}})
	Equal("without the paused partition", polled(reader, 58), placesOf(0, 42))
	reader.ResumeFetchPartitions(map[string][]int32{topic: {1}})
	Equal("after resuming", polled(reader, 100), placesOf(1, 0))
	reader.Close()
	lag(topic)
}

func placesOf(partition int, from int64) (places [][2]int64) {
	for offset := from; offset < 100; offset++ {
		places = append(places, [2]int64{int64(partition), offset})
	}
	return places
}

func polled(reader *kgo.Client, count int) (got [][2]int64) {
	poll := func(patience time.Duration) {
		limited, cancel := context.WithTimeout(background, patience)
		defer cancel()
		reader.PollFetches(limited).EachRecord(func(r *kgo.Record) { got = append(got, [2]int64{int64(r.Partition), r.Offset}) })
	}
	enough := func() bool {
		poll(500 * time.Millisecond)
		return len(got) >= count
	}
	Until(fmt.Sprintf("%d records", count), enough, func() any { return len(got) })
	poll(200 * time.Millisecond)
	slices.SortFunc(got, func(a, b [2]int64) int { return int(a[0]*1000 + a[1] - b[0]*1000 - b[1]) })
	return got
}

func lag(topic string) {
	group := Name("lagging")
	var committed kadm.Offsets
	committed.AddOffset(topic, 0, 30, -1)
	committed.AddOffset(topic, 1, 70, -1)
	Ok(adminClient().CommitAllOffsets(background, group, committed))
	lags := Must(adminClient().Lag(background, group))
	one, _ := lags[group].Lag.Lookup(topic, 0)
	other, _ := lags[group].Lag.Lookup(topic, 1)
	Equal("lag", []int64{one.Lag, other.Lag}, []int64{70, 30})
}

func fails(err, wanted error) { Equal("error", fmt.Sprint(err), fmt.Sprint(wanted)) }

func value(text string) *string { return &text }

func admin() {
	metadata := Must(adminClient().BrokerMetadata(background))
	Equal("brokers", fmt.Sprintf("%s:%d", metadata.Brokers[0].Host, metadata.Brokers[0].Port), Bootstrap)
	topics()
	configs()
	records()
	groups()
	producers()
}

func topics() {
	topic := create(Name("admin"), 3, nil)
	_, err := adminClient().CreateTopic(background, 3, 1, nil, topic)
	fails(err, kerr.TopicAlreadyExists)
	id := Must(adminClient().ListTopics(background, topic))[topic].ID
	Ok(Must(adminClient().UpdatePartitions(background, 5, topic)).Error())
	Until("more partitions", func() bool {
		return len(Must(adminClient().ListTopics(background, topic))[topic].Partitions) == 5
	}, func() any { return "" })
	fails(Must(adminClient().UpdatePartitions(background, 2, topic)).Error(), kerr.InvalidPartitions)
	Must(adminClient().DeleteTopic(background, topic))
	_, err = adminClient().DeleteTopic(background, topic)
	fails(err, kerr.UnknownTopicOrPartition)
	Until("deleted", func() bool { return !Must(adminClient().ListTopics(background)).Has(topic) }, func() any { return "" })
	create(topic, 1, nil)
	Check("another id", Must(adminClient().ListTopics(background, topic))[topic].ID != id)
}

func configs() {
	topic := create(Name("configs"), 1, map[string]*string{"retention.ms": value("86400000")})
	described := func(key string) (string, string) {
		configs, err := Must(adminClient().DescribeTopicConfigs(background, topic)).On(topic, nil)
		Ok(err)
		at := slices.IndexFunc(configs.Configs, func(c kadm.Config) bool { return c.Key == key })
		return configs.Configs[at].MaybeValue(), configs.Configs[at].Source.String()
	}
	expect := func(key, value, source string) {
		gotValue, gotSource := described(key)
		Equal(key, []string{gotValue, gotSource}, []string{value, source})
	}
	expect("retention.ms", "86400000", "DYNAMIC_TOPIC_CONFIG")
	expect("cleanup.policy", "delete", "DEFAULT_CONFIG")
	alter := func(changes ...kadm.AlterConfig) error {
		_, err := Must(adminClient().AlterTopicConfigs(background, changes, topic)).On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		return err
	}
	Ok(alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "segment.bytes", Value: value("1048576")}))
	expect("segment.bytes", "1048576", "DYNAMIC_TOPIC_CONFIG")
	expect("retention.ms", "86400000", "DYNAMIC_TOPIC_CONFIG")
	Ok(alter(kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: value("compact")}))
	expect("cleanup.policy", "delete,compact", "DYNAMIC_TOPIC_CONFIG")
	Ok(alter(kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: value("delete")}))
	expect("cleanup.policy", "compact", "DYNAMIC_TOPIC_CONFIG")
	Ok(alter(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "cleanup.policy"}))
	expect("cleanup.policy", "delete", "DEFAULT_CONFIG")
	fails(alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: value("soon")}), kerr.InvalidConfig)
	Must(adminClient().AlterTopicConfigsState(background, []kadm.AlterConfig{{Name: "max.message.bytes", Value: value("2000000")}}, topic))
	expect("max.message.bytes", "2000000", "DYNAMIC_TOPIC_CONFIG")
	_, source := described("segment.bytes")
	Check("all was replaced, not "+source, source != "DYNAMIC_TOPIC_CONFIG")
}

func records() {
	topic := create(Name("records"), 1, nil)
	var sent []Record
	for number := 0; number < 400; number += 4 {
		sent = append(sent, Numbered(number))
	}
	sent[7].Timestamp = EpochMs + 1_000_000
	franz{}.Send(topic, sent, Sent)
	offset := func(listed kadm.ListedOffsets, err error) int64 {
		Ok(err)
		Ok(listed.Error())
		return listed[topic][0].Offset
	}
	Equal("start", offset(adminClient().ListStartOffsets(background, topic)), int64(0))
	Equal("end", offset(adminClient().ListEndOffsets(background, topic)), int64(100))
	Equal("max timestamp", offset(adminClient().ListMaxTimestampOffsets(background, topic)), int64(7))
	var until kadm.Offsets
	until.AddOffset(topic, 0, 40, -1)
	deleted, _ := Must(adminClient().DeleteRecords(background, until)).Lookup(topic, 0)
	Ok(deleted.Err)
	Equal("low watermark", deleted.LowWatermark, int64(40))
	Equal("start after it", offset(adminClient().ListStartOffsets(background, topic)), int64(40))
	left := franz{}.Read(topic, 60, 1, false)[0]
	Equal("what is left", []int64{left[0].Offset, left[59].Offset}, []int64{40, 99})
}

func groups() {
	topic, group := create(Name("grouped"), 6, nil), Name("admin-group")
	m := franz{}.Member(group, topic, "eager", "")
	franz{}.Send(topic, []Record{Plain(0, []byte("0"))[0], Plain(1, []byte("1"))[0]}, Sent)
	Until("both seen", func() bool { return len(m.Seen()) == 2 }, func() any { return len(m.Seen()) })
	Ok(m.Commit())
	described := Must(adminClient().DescribeGroups(background, group))[group]
	Ok(described.Err)
	Equal("described", []string{described.State, described.ProtocolType, described.Protocol}, []string{"Stable", "consumer", "range"})
	Equal("members", len(described.Members), 1)
	Check("listed", slices.Contains(Must(adminClient().ListGroups(background)).Groups(), group))
	_, err := adminClient().DeleteGroup(background, group)
	fails(err, kerr.NonEmptyGroup)
	m.Close()
	Equal("committed", m.Committed(topic, 0), int64(1))
	var set kadm.TopicsSet
	set.Add(topic, 0)
	Ok(Must(adminClient().DeleteOffsets(background, group, set)).Error())
	Equal("committed", []int64{m.Committed(topic, 0), m.Committed(topic, 1)}, []int64{-1, 1})
	Must(adminClient().DeleteGroup(background, group))
	_, err = adminClient().DeleteGroup(background, group)
	fails(err, kerr.GroupIDNotFound)
}

// producers: what the broker tells of an open transaction, and of the directory that holds it.
func producers() {
	topic, id := create(Name("producers"), 1, nil), Name("told")
	sender := franz{}.Transactional(id)
	sender.Begin()
	sender.Send(topic, 0, "open")
	sender.Flush()
	var set kadm.TopicsSet
	set.Add(topic, 0)
	active := Must(adminClient().DescribeProducers(background, set))[topic].Partitions[0].ActiveProducers
	Equal("active producers", len(active), 1)
	told := Must(adminClient().DescribeTransactions(background, id))[id]
	Equal("state", told.State, "Ongoing")
	for producer := range active {
		Equal("producer id", told.ProducerID, active[producer].ProducerID)
		Equal("open from", active[producer].CurrentTxnStartOffset, int64(0))
	}
	Check("listed", slices.Contains(Must(adminClient().ListTransactions(background, nil, []string{"Ongoing"})).TransactionalIDs(), id))
	Ok(sender.Commit())
	var size int64
	Must(adminClient().DescribeAllLogDirs(background, set)).Each(func(dir kadm.DescribedLogDir) { size += dir.Size() })
	Check("a size", size > 0)
}
