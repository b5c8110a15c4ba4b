// Package harness is what the Go programs share: their command line, the records they send, and expectations that say what differed.
package harness

import (
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"time"
)

// Patience is how long anything may take.
const Patience = 45 * time.Second

// Partitions of an ordinary topic.
const Partitions = 4

// EpochMs is the timestamp of record 0.
const EpochMs = int64(1_700_000_000_000)

// Bootstrap is where the broker is.
var Bootstrap = os.Getenv("BOOTSTRAP")

// Name makes a topic, group or transactional id of this run alone.
func Name(what string) string { return os.Getenv("RUN") + "-" + what }

// Must has no error, or ends the scenario.
func Must[T any](value T, err error) T {
	Ok(err)
	return value
}

// Ok is no error, or ends the scenario.
func Ok(err error) {
	if err != nil {
		panic(err)
	}
}

// Equal ends the scenario where two things differ.
func Equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(fmt.Sprintf("%s\n   got  %s\n   want %s", what, short(got), short(want)))
	}
}

// Check ends the scenario unless it is true.
func Check(what string, truth bool) {
	if !truth {
		panic(what)
	}
}

// Until waits for a condition; `told` says how far it came.
func Until(what string, condition func() bool, told func() any) {
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	panic(fmt.Sprintf("%s: not within %s; %v", what, Patience, told()))
}

func short(thing any) string {
	text := fmt.Sprintf("%#v", thing)
	if len(text) > 1500 {
		return text[:1500] + "…"
	}
	return text
}

// Header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record as it was sent; its partition is the sender's choice.
type Record struct {
	Partition  int
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
}

// Seen is a record as it was read.
type Seen struct {
	Offset     int64
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
}

// EmptyIsNull says that the library does not tell an empty value from none.
var EmptyIsNull = false

// Told is bytes as the library tells them.
func Told(bytes []byte) []byte {
	if EmptyIsNull && len(bytes) == 0 {
		return nil
	}
	return bytes
}

// Numbered makes the record that belongs to a number: some without key, without value, with an empty one, with headers.
func Numbered(number int) Record {
	record := Record{Partition: number % Partitions, Timestamp: EpochMs + int64(number)}
	if number%5 != 0 {
		record.Key = []byte(fmt.Sprintf("key-%d", number))
	}
	switch {
	case number%7 == 1:
	case number%11 == 0:
		record.Value = []byte{}
	default:
		record.Value = append([]byte(fmt.Sprintf("value-%d-", number)), make([]byte, number%200)...)
	}
	if number%3 != 0 {
		record.Headers = []Header{{"a", []byte(fmt.Sprint(number))}, {"a", []byte("again")}, {"empty", []byte{}}}
	}
	return record
}

// Plain records, of which only the value matters.
func Plain(partition int, values ...[]byte) []Record {
	var records []Record
	for _, value := range values {
		records = append(records, Record{Partition: partition, Value: value, Timestamp: EpochMs})
	}
	return records
}

// ByPartition is what a reader should see of records.
func ByPartition(records []Record) map[int][]Seen {
	seen := map[int][]Seen{}
	for _, r := range records {
		offset := int64(len(seen[r.Partition]))
		var headers []Header
		for _, header := range r.Headers {
			headers = append(headers, Header{header.Key, Told(header.Value)})
		}
		seen[r.Partition] = append(seen[r.Partition], Seen{offset, Told(r.Key), Told(r.Value), headers, r.Timestamp})
	}
	return seen
}

// Same compares what was read with what should be there, and tells the first place where they differ.
func Same(found, wanted map[int][]Seen) {
	Equal("partitions with records", len(found), len(wanted))
	for partition, records := range wanted {
		for at := range min(len(records), len(found[partition])) {
			Equal(fmt.Sprintf("partition %d at %d", partition, at), found[partition][at], records[at])
		}
		Equal(fmt.Sprintf("records of partition %d", partition), len(found[partition]), len(records))
	}
}

// Total counts records.
func Total(found map[int][]Seen) (total int) {
	for _, records := range found {
		total += len(records)
	}
	return total
}

// Run runs the scenario that the command line names: a shared one, or one of the library's own.
func Run(library Library, own map[string]func()) {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Println(failure)
			debug.PrintStack()
			os.Exit(1)
		}
	}()
	wanted := os.Args[1]
	if scenario, ok := own[wanted]; ok {
		scenario()
	} else if scenario, ok := shared[wanted]; ok {
		scenario(library)
	} else {
		panic("no such scenario: " + wanted)
	}
	os.Exit(0)
}
