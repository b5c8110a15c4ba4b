package main

import (
	"context"
	"errors"
	"fmt"

	. "fleuve/e2e/harness"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func optionsOf(login Login) []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(login.Address()), kgo.RequestRetries(2)}
	if config := login.TLS(); config != nil {
		options = append(options, kgo.DialTLSConfig(config))
	}
	var mechanism sasl.Mechanism
	switch login.Mechanism {
	case "":
		return options
	case "PLAIN":
		mechanism = plain.Auth{User: login.User, Pass: login.Password}.AsMechanism()
	case "SCRAM-SHA-256":
		mechanism = scram.Auth{User: login.User, Pass: login.Password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		mechanism = scram.Auth{User: login.User, Pass: login.Password}.AsSha512Mechanism()
	}
	return append(options, kgo.SASL(mechanism))
}

func (franz) Login(login Login) error {
	limited, cancel := context.WithTimeout(background, RefusalPatience)
	defer cancel()
	one := client(optionsOf(login)...)
	defer one.Close()
	return one.Ping(limited)
}

func (franz) SendAs(login Login, topic string, values []string) error {
	limited, cancel := context.WithTimeout(background, RefusalPatience)
	defer cancel()
	sender := client(optionsOf(login)...)
	defer sender.Close()
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(value)})
	}
	return sender.ProduceSync(limited, records...).FirstErr()
}

func (franz) ReadAs(login Login, group, topic string, count int) (values []string, err error) {
	limited, cancel := context.WithTimeout(background, RefusalPatience)
	defer cancel()
	own := []kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	reader := client(append(optionsOf(login), own...)...)
	defer reader.Close()
	for len(values) < count {
		fetches := reader.PollFetches(limited)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values, nil
}

func (franz) Grant(principal, topic, group string) {
	rules := kadm.NewACLs().Allow(principal).AllowHosts().ResourcePatternType(kadm.ACLPatternLiteral)
	if topic != "" {
		rules.Topics(topic).Operations(kadm.OpRead, kadm.OpWrite)
	} else {
		rules.Groups(group).Operations(kadm.OpRead)
	}
	for _, made := range Must(adminClient().CreateACLs(background, rules)) {
		Ok(made.Err)
	}
}

func (franz) Is(err, refusal error) bool { return errors.Is(err, refusal) }

func (franz) Refusals() Refusals {
	return Refusals{Login: kerr.SaslAuthenticationFailed, Topic: kerr.TopicAuthorizationFailed, Group: kerr.GroupAuthorizationFailed}
}

// acls: rules are made, found by whose and of what they are, and deleted.
func acls() {
	topic, alice := Name("ruled"), "User:"+Name("alice")
	made := kadm.NewACLs().Allow(alice).AllowHosts().Topics(topic).Operations(kadm.OpRead, kadm.OpWrite)
	Equal("made", len(Must(adminClient().CreateACLs(background, made.ResourcePatternType(kadm.ACLPatternLiteral)))), 2)
	deny := kadm.NewACLs().Deny(alice).DenyHosts("127.0.0.1").Groups(Name("r")).Operations(kadm.OpAll)
	Equal("made", len(Must(adminClient().CreateACLs(background, deny.ResourcePatternType(kadm.ACLPatternPrefixed)))), 1)
	every := func() *kadm.ACLBuilder {
		rules := kadm.NewACLs().AnyResource().Allow(alice).AllowHosts().Deny(alice).DenyHosts().Operations(kadm.OpAny)
		return rules.ResourcePatternType(kadm.ACLPatternAny)
	}
	described := func() (found []string) {
		for _, result := range Must(adminClient().DescribeACLs(background, every())) {
			Ok(result.Err)
			for _, rule := range result.Described {
				found = append(found, fmt.Sprint(rule.Name, rule.Pattern, rule.Operation, rule.Permission, rule.Host))
			}
		}
		return found
	}
	Until("three rules", func() bool { return len(described()) == 3 }, func() any { return described() })
	count := 0
	for _, result := range Must(adminClient().DeleteACLs(background, every())) {
		Ok(result.Err)
		count += len(result.Deleted)
	}
	Equal("deleted", count, 3)
	Until("none is left", func() bool { return len(described()) == 0 }, func() any { return described() })
}

func users() {
	user := Name("scram-user")
	mechanisms := []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512}
	var made []kadm.UpsertSCRAM
	var gone []kadm.DeleteSCRAM
	for _, mechanism := range mechanisms {
		made = append(made, kadm.UpsertSCRAM{User: user, Mechanism: mechanism, Iterations: 8192, Password: "secret"})
		gone = append(gone, kadm.DeleteSCRAM{User: user, Mechanism: mechanism})
	}
	Ok(Must(adminClient().AlterUserSCRAMs(background, nil, made)).Error())
	described := func() kadm.DescribedUserSCRAM { return Must(adminClient().DescribeUserSCRAMs(background, user))[user] }
	wanted := []kadm.CredInfo{{Mechanism: mechanisms[0], Iterations: 8192}, {Mechanism: mechanisms[1], Iterations: 8192}}
	Until("both mechanisms", func() bool { return fmt.Sprint(described().CredInfos) == fmt.Sprint(wanted) }, func() any { return described() })
	Ok(Must(adminClient().AlterUserSCRAMs(background, gone, nil)).Error())
	Until("no such user", func() bool { return described().Err == kerr.ResourceNotFound }, func() any { return described() })
	fails(Must(adminClient().AlterUserSCRAMs(background, gone[:1], nil)).Error(), kerr.ResourceNotFound)
}

func quotas() {
	user, key := Name("slow"), "producer_byte_rate"
	entity := kadm.ClientQuotaEntity{{Type: "user", Name: &user}}
	alter := func(op kadm.AlterClientQuotaOp) {
		entry := kadm.AlterClientQuotaEntry{Entity: entity, Ops: []kadm.AlterClientQuotaOp{op}}
		Ok(Must(adminClient().AlterClientQuotas(background, []kadm.AlterClientQuotaEntry{entry}))[0].Err)
	}
	described := func() kadm.DescribedClientQuotas {
		one := kadm.DescribeClientQuotaComponent{Type: "user", MatchName: &user, MatchType: kmsg.QuotasMatchTypeExact}
		return Must(adminClient().DescribeClientQuotas(background, true, []kadm.DescribeClientQuotaComponent{one}))
	}
	told := func() any { return described() }
	alter(kadm.AlterClientQuotaOp{Key: key, Value: 1e6})
	set := kadm.ClientQuotaValues{{Key: key, Value: 1e6}}
	Until("the quota", func() bool { return len(described()) == 1 && fmt.Sprint(described()[0].Values) == fmt.Sprint(set) }, told)
	alter(kadm.AlterClientQuotaOp{Key: key, Remove: true})
	Until("no quota", func() bool { return len(described()) == 0 }, told)
}

func security() {
	Security(franz{})
	acls()
	users()
	quotas()
}
