package harness

import (
	"fmt"
	"math/rand"
	"slices"
	"sort"
	"strconv"
	"time"
)

// How records are sent.
type How struct {
	Acks       int // -1 is all
	Codec      string
	Idempotent bool
}

// Sent is the ordinary way.
var Sent = How{Acks: -1, Codec: "none"}

// Library is what the scenarios need of a client library.
type Library interface {
	// Create makes a topic, ready to be written.
	Create(topic string, partitions int) string
	// Send sends records and waits until they are acknowledged; it returns their offsets, in the records' order.
	Send(topic string, records []Record, how How) []int64
	// Read reads a topic from its beginning, and a little on behind the count to see what is too much.
	Read(topic string, count, partitions int, committed bool) map[int][]Seen
	// Member joins a group; the protocol is eager, cooperative or consumer.
	Member(group, topic, protocol, instance string) Member
	// Transactional makes a producer with a transactional id.
	Transactional(id string) Transactional
}

// Value that a group's member saw.
type Value struct {
	Partition int
	Offset    int64
	Value     string
}

// Member of a group, which reads in the background.
type Member interface {
	Assigned() []int
	LostAll() int
	Seen() []Value
	Commit() error
	Committed(topic string, partition int) int64
	Close()
}

// Transactional producer.
type Transactional interface {
	Begin()
	Send(topic string, partition int, value string)
	Flush()
	Commit() error
	Abort()
	// SendOffsets joins the offset that both partitions of a topic were read to.
	SendOffsets(member Member, topic string, offset int64)
}

var shared = map[string]func(Library){
	"produce": produce, "idempotent": idempotent, "group": group, "cooperative": cooperative, "static": static, "kip848": kip848,
	"transactions": transactions,
}

func numbered(count int) (records []Record) {
	for number := range count {
		records = append(records, Numbered(number))
	}
	return records
}

func produce(lib Library) {
	records := numbered(1000)
	for _, acks := range []int{0, 1, -1} {
		for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			topic := lib.Create(Name(fmt.Sprintf("produce-%d-%s", acks, codec)), Partitions)
			lib.Send(topic, records, How{Acks: acks, Codec: codec})
			Same(lib.Read(topic, len(records), Partitions, false), ByPartition(records))
		}
	}
	big(lib)
	many(lib)
}

// Records of 900 KB, which no codec makes smaller or every one makes tiny.
func big(lib Library) {
	noise := rand.New(rand.NewSource(7))
	random := func() []byte {
		bytes := make([]byte, 900_000)
		noise.Read(bytes)
		return bytes
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := lib.Create(Name("big-"+codec), 1)
		records := Plain(0, random(), make([]byte, 900_000), random())
		lib.Send(topic, records, How{Acks: -1, Codec: codec})
		Same(lib.Read(topic, 3, 1, false), ByPartition(records))
	}
}

func many(lib Library) {
	topic := lib.Create(Name("many"), 200)
	records := numbered(2000)
	for number := range records {
		records[number].Partition = number % 200
	}
	lib.Send(topic, records, Sent)
	Same(lib.Read(topic, 2000, 200, false), ByPartition(records))
}

func idempotent(lib Library) {
	topic := lib.Create(Name("idempotent"), Partitions)
	records := numbered(10_000)
	offsets := lib.Send(topic, records, How{Acks: -1, Codec: "lz4", Idempotent: true})
	for number, offset := range offsets {
		Equal("an offset told", offset, int64(number/Partitions))
	}
	Same(lib.Read(topic, len(records), Partitions, false), ByPartition(records))
}

// groups

func assignments(members []Member) any {
	var all [][]int
	for _, member := range members {
		all = append(all, member.Assigned())
	}
	return all
}

// balanced waits until the members share the six partitions evenly.
func balanced(members ...Member) {
	even := func() bool {
		var owned []int
		for _, member := range members {
			assigned := member.Assigned()
			if len(assigned) != 6/len(members) {
				return false
			}
			owned = append(owned, assigned...)
		}
		sort.Ints(owned)
		return slices.Equal(owned, []int{0, 1, 2, 3, 4, 5})
	}
	Until(fmt.Sprintf("%d members share", len(members)), even, func() any { return assignments(members) })
}

// drained sends numbered records; all members together see each just once, and commit.
func drained(lib Library, topic string, from, to int, members ...Member) {
	before := make([]int, len(members))
	for at, member := range members {
		before[at] = len(member.Seen())
	}
	var records []Record
	for number := from; number < to; number++ {
		records = append(records, Plain(number%6, []byte(strconv.Itoa(number)))...)
	}
	lib.Send(topic, records, Sent)
	news := func() (numbers []int) {
		for at, member := range members {
			for _, seen := range member.Seen()[before[at]:] {
				numbers = append(numbers, Must(strconv.Atoi(seen.Value)))
			}
		}
		sort.Ints(numbers)
		return numbers
	}
	Until("every record seen", func() bool { return len(news()) >= to-from }, func() any { return len(news()) })
	time.Sleep(200 * time.Millisecond)
	numbers := news()
	for number := from; number < to; number++ {
		Equal("a record seen", numbers[number-from], number)
	}
	Equal("records seen", len(numbers), to-from)
	for _, member := range members {
		inOrder(member)
		Ok(member.Commit())
	}
}

func inOrder(member Member) {
	last := map[int]int64{}
	for _, seen := range member.Seen() {
		before, ok := last[seen.Partition]
		Check(fmt.Sprintf("%+v after offset %d", seen, before), !ok || seen.Offset > before)
		Equal(fmt.Sprintf("%+v", seen), seen.Value, strconv.Itoa(int(seen.Offset)*6+seen.Partition))
		last[seen.Partition] = seen.Offset
	}
}

// rebalance has members come and go; what is sent while a set of members stands is seen once by them. One that starts again resumes.
func rebalance(lib Library, label, protocol string) {
	group, topic := Name(label+"-group"), lib.Create(Name(label), 6)
	start := func() Member { return lib.Member(group, topic, protocol, "") }
	first := start()
	balanced(first)
	if typed, ok := lib.(interface{ GroupType(string) string }); ok {
		Equal("the group's type", typed.GroupType(group), map[bool]string{true: "consumer", false: "classic"}[protocol == "consumer"])
	}
	drained(lib, topic, 0, 600, first)
	second := start()
	balanced(first, second)
	drained(lib, topic, 600, 1200, first, second)
	third := start()
	balanced(first, second, third)
	drained(lib, topic, 1200, 1800, first, second, third)
	if protocol != "eager" {
		Equal("how often the first lost everything", first.LostAll(), 0)
	}
	second.Close()
	balanced(first, third)
	drained(lib, topic, 1800, 2400, first, third)
	first.Close()
	third.Close()
	again := start()
	balanced(again)
	for partition := range 6 {
		Equal("committed", again.Committed(topic, partition), int64(400))
	}
	drained(lib, topic, 2400, 3000, again)
	for _, seen := range again.Seen() {
		Check(fmt.Sprintf("%+v seen again after the restart", seen), seen.Offset >= 400)
	}
	again.Close()
}

func group(lib Library)       { rebalance(lib, "eager", "eager") }
func cooperative(lib Library) { rebalance(lib, "cooperative", "cooperative") }
func kip848(lib Library)      { rebalance(lib, "kip848", "consumer") }

// static members that restart get their partitions back, and nobody else notices; of twins the elder is fenced.
func static(lib Library) {
	topic, group := lib.Create(Name("static"), 6), Name("static-group")
	one, two := lib.Member(group, topic, "eager", "one"), lib.Member(group, topic, "eager", "two")
	balanced(one, two)
	drained(lib, topic, 0, 600, one, two)
	kept, owned, lost := one.Assigned(), two.Assigned(), one.LostAll()
	two.Close()
	two = lib.Member(group, topic, "eager", "two")
	back := func() bool { return slices.Equal(two.Assigned(), owned) }
	Until("assigned again", back, func() any { return two.Assigned() })
	drained(lib, topic, 600, 1200, one, two)
	Equal("the other's partitions", one.Assigned(), kept)
	Equal("rebalances of the other", one.LostAll(), lost)
	twin := lib.Member(group, topic, "eager", "two")
	twinBack := func() bool { return slices.Equal(twin.Assigned(), owned) }
	Until("the younger twin took over", twinBack, func() any { return twin.Assigned() })
	if _, silent := lib.(interface{ CommitsSilently() }); !silent {
		Check("the elder twin could commit", two.Commit() != nil)
	}
	twin.Close()
	one.Close()
}

// transactions

func values(found map[int][]Seen) (values []string) {
	for _, records := range found {
		for _, record := range records {
			values = append(values, string(record.Value))
		}
	}
	sort.Strings(values)
	return values
}

func transactions(lib Library) {
	topic := lib.Create(Name("transactions"), Partitions)
	sender := lib.Transactional(Name("committer"))
	var committed, all []string
	for turn := range 6 {
		word := []string{"commit", "abort"}[turn%2]
		sender.Begin()
		for number := range 100 {
			value := fmt.Sprintf("%s-%d-%d", word, turn, number)
			sender.Send(topic, number%Partitions, value)
			all = append(all, value)
			if word == "commit" {
				committed = append(committed, value)
			}
		}
		sender.Flush()
		if word == "commit" {
			Ok(sender.Commit())
		} else {
			sender.Abort()
		}
	}
	sort.Strings(committed)
	sort.Strings(all)
	Equal("read_committed", values(lib.Read(topic, 300, Partitions, true)), committed)
	Equal("read_uncommitted", values(lib.Read(topic, 600, Partitions, false)), all)
	openTransaction(lib, topic)
	transform(lib)
	zombie(lib, topic)
}

// What is not committed yet is not read, and neither is what comes behind it; its end lets both through.
func openTransaction(lib Library, topic string) {
	sender := lib.Transactional(Name("open"))
	sender.Begin()
	sender.Send(topic, 0, "open")
	sender.Flush()
	lib.Send(topic, Plain(0, []byte("behind")), Sent)
	before := values(lib.Read(topic, 300, Partitions, true))
	Check("an open transaction was read", !slices.Contains(before, "open") && !slices.Contains(before, "behind"))
	Ok(sender.Commit())
	after := values(lib.Read(topic, 302, Partitions, true))
	Check("the end of it lets both through", slices.Contains(after, "open") && slices.Contains(after, "behind"))
}

// Read, write, and commit the offsets with the output; an abort takes the offsets back with it.
func transform(lib Library) {
	source, target, group := lib.Create(Name("source"), 2), lib.Create(Name("target"), 2), Name("transform")
	var wanted []string
	for number := range 200 {
		lib.Send(source, Plain(number%2, []byte(strconv.Itoa(number))), Sent)
		wanted = append(wanted, fmt.Sprintf("<%d>", number))
	}
	sort.Strings(wanted)
	sender := lib.Transactional(Name("transformer"))
	for _, end := range []string{"abort", "commit"} {
		reader := lib.Member(group, source, "eager", "")
		Until("200 records", func() bool { return len(reader.Seen()) >= 200 }, func() any { return len(reader.Seen()) })
		sender.Begin()
		for _, seen := range reader.Seen() {
			sender.Send(target, seen.Partition, "<"+seen.Value+">")
		}
		sender.SendOffsets(reader, source, 100)
		sender.Flush()
		offset := int64(100)
		if end == "commit" {
			Ok(sender.Commit())
		} else {
			sender.Abort()
			offset = -1
		}
		both := func() bool { return reader.Committed(source, 0) == offset && reader.Committed(source, 1) == offset }
		Until("offsets after the "+end, both, func() any { return reader.Committed(source, 0) })
		reader.Close()
	}
	Equal("transformed", values(lib.Read(target, 200, 2, true)), wanted)
}

// The elder of two producers with one transactional id may not commit any more.
func zombie(lib Library, topic string) {
	elder := lib.Transactional(Name("zombie"))
	elder.Begin()
	elder.Send(topic, 1, "zombie")
	elder.Flush()
	younger := lib.Transactional(Name("zombie"))
	Check("a zombie committed", elder.Commit() != nil)
	younger.Begin()
	younger.Send(topic, 1, "younger")
	Ok(younger.Commit())
	got := values(lib.Read(topic, 303, Partitions, true))
	Check("the zombie's record was read", !slices.Contains(got, "zombie"))
	Check("the younger's record was not read", slices.Contains(got, "younger"))
}
