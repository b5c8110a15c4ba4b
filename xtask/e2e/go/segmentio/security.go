package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	. "fleuve/e2e/harness"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

func mechanismOf(login Login) sasl.Mechanism {
	switch login.Mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: login.User, Password: login.Password}
	case "SCRAM-SHA-256":
		return Must(scram.Mechanism(scram.SHA256, login.User, login.Password))
	case "SCRAM-SHA-512":
		return Must(scram.Mechanism(scram.SHA512, login.User, login.Password))
	}
	return nil
}

func clientOf(login Login) *kafka.Client {
	transport := &kafka.Transport{TLS: login.TLS(), SASL: mechanismOf(login)}
	return &kafka.Client{Addr: kafka.TCP(login.Address()), Timeout: RefusalPatience, Transport: transport}
}

// Login through both ways that kafka-go has: its transport, and its dialer.
func (library) Login(login Login) error {
	_, err := clientOf(login).Metadata(background, &kafka.MetadataRequest{})
	connection, dialed := dialerOf(login).DialContext(background, "tcp", login.Address())
	if dialed == nil {
		Ok(connection.Close())
	}
	Check(fmt.Sprintf("both agree: %v and %v", err, dialed), (err == nil) == (dialed == nil))
	return err
}

func dialerOf(login Login) *kafka.Dialer {
	return &kafka.Dialer{Timeout: RefusalPatience, TLS: login.TLS(), SASLMechanism: mechanismOf(login)}
}

// SendAs asks for the topic's leader first: a writer learns of all topics at once, where one that is hidden does not seem to be there.
func (library) SendAs(login Login, topic string, values []string) error {
	connection, err := dialerOf(login).DialLeader(background, "tcp", login.Address(), topic, 0)
	if err != nil {
		return err
	}
	Ok(connection.Close())
	sender := &kafka.Writer{
		Addr: kafka.TCP(login.Address()), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond,
		MaxAttempts: 2, Transport: clientOf(login).Transport,
	}
	defer sender.Close()
	var messages []kafka.Message
	for _, value := range values {
		messages = append(messages, kafka.Message{Value: []byte(value)})
	}
	return sender.WriteMessages(background, messages...)
}

// ReadAs joins for a generation, and reads the partition that it got.
func (library) ReadAs(login Login, group, topic string, count int) (values []string, err error) {
	limited, cancel := context.WithTimeout(background, RefusalPatience)
	defer cancel()
	dialer := dialerOf(login)
	consumer := Must(kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{login.Address()}, Topics: []string{topic}, StartOffset: kafka.FirstOffset, Dialer: dialer,
	}))
	defer consumer.Close()
	generation, err := consumer.Next(limited)
	if err != nil {
		return nil, err
	}
	Equal("assigned", len(generation.Assignments[topic]), 1)
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{login.Address()}, Topic: topic, Partition: 0, Dialer: dialer})
	defer reader.Close()
	for len(values) < count {
		message, err := reader.ReadMessage(limited)
		if err != nil {
			return nil, err
		}
		values = append(values, string(message.Value))
	}
	return values, nil
}

func rule(principal string, kind kafka.ResourceType, name string, operation kafka.ACLOperationType) kafka.ACLEntry {
	return kafka.ACLEntry{
		ResourceType: kind, ResourceName: name, ResourcePatternType: kafka.PatternTypeLiteral, Principal: principal, Host: "*",
		Operation: operation, PermissionType: kafka.ACLPermissionTypeAllow,
	}
}

func makeRules(rules ...kafka.ACLEntry) {
	for _, err := range Must(client.CreateACLs(background, &kafka.CreateACLsRequest{ACLs: rules})).Errors {
		Ok(err)
	}
}

func (library) Grant(principal, topic, group string) {
	if topic != "" {
		read := rule(principal, kafka.ResourceTypeTopic, topic, kafka.ACLOperationTypeRead)
		makeRules(read, rule(principal, kafka.ResourceTypeTopic, topic, kafka.ACLOperationTypeWrite))
	} else {
		makeRules(rule(principal, kafka.ResourceTypeGroup, group, kafka.ACLOperationTypeRead))
	}
}

// Is looks into the errors of a writer, which has one for each message.
func (library) Is(err, refusal error) bool {
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		return errors.Is(each[0], refusal)
	}
	return errors.Is(err, refusal)
}

func (library) Refusals() Refusals {
	return Refusals{
		Login: kafka.SASLAuthenticationFailed, Topic: kafka.TopicAuthorizationFailed, Group: kafka.GroupAuthorizationFailed,
	}
}

// acls: rules are made, found by whose and of what they are, and deleted.
func acls() {
	topic, alice := Name("ruled"), "User:"+Name("alice")
	deny := kafka.ACLEntry{
		ResourceType: kafka.ResourceTypeGroup, ResourceName: Name("r"), ResourcePatternType: kafka.PatternTypePrefixed, Principal: alice,
		Host: "127.0.0.1", Operation: kafka.ACLOperationTypeAll, PermissionType: kafka.ACLPermissionTypeDeny,
	}
	read := rule(alice, kafka.ResourceTypeTopic, topic, kafka.ACLOperationTypeRead)
	makeRules(read, rule(alice, kafka.ResourceTypeTopic, topic, kafka.ACLOperationTypeWrite), deny)
	every := kafka.ACLFilter{
		ResourceTypeFilter: kafka.ResourceTypeAny, ResourcePatternTypeFilter: kafka.PatternTypeAny, PrincipalFilter: alice,
		Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAny,
	}
	described := func() (count int) {
		answer := Must(client.DescribeACLs(background, &kafka.DescribeACLsRequest{Filter: every}))
		Ok(answer.Error)
		for _, resource := range answer.Resources {
			count += len(resource.ACLs)
		}
		return count
	}
	Until("three rules", func() bool { return described() == 3 }, func() any { return described() })
	ofTopic := kafka.DeleteACLsFilter{
		ResourceTypeFilter: kafka.ResourceTypeTopic, ResourceNameFilter: topic, ResourcePatternTypeFilter: kafka.PatternTypeAny,
		PrincipalFilter: alice, Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAny,
	}
	deleted := Must(client.DeleteACLs(background, &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{ofTopic}})).Results[0]
	Ok(deleted.Error)
	Equal("deleted", len(deleted.MatchingACLs), 2)
	Until("one is left", func() bool { return described() == 1 }, func() any { return described() })
}

func users() {
	user := Name("scram-user")
	made := kafka.UserScramCredentialsUpsertion{
		Name: user, Mechanism: kafka.ScramMechanismSha512, Iterations: 15_000, Salt: []byte("my-salt"), SaltedPassword: make([]byte, 64),
	}
	alter := func(request kafka.AlterUserScramCredentialsRequest) error {
		return Must(client.AlterUserScramCredentials(background, &request)).Results[0].Error
	}
	Ok(alter(kafka.AlterUserScramCredentialsRequest{Upsertions: []kafka.UserScramCredentialsUpsertion{made}}))
	described := func() kafka.DescribeUserScramCredentialsResponseResult {
		asked := []kafka.UserScramCredentialsUser{{Name: user}}
		return Must(client.DescribeUserScramCredentials(background, &kafka.DescribeUserScramCredentialsRequest{Users: asked})).Results[0]
	}
	told := func() any { return described() }
	info := kafka.DescribeUserScramCredentialsCredentialInfo{Mechanism: kafka.ScramMechanismSha512, Iterations: 15_000}
	Until("it is there", func() bool { return len(described().CredentialInfos) == 1 && described().CredentialInfos[0] == info }, told)
	gone := kafka.UserScramCredentialsDeletion{Name: user, Mechanism: kafka.ScramMechanismSha512}
	Ok(alter(kafka.AlterUserScramCredentialsRequest{Deletions: []kafka.UserScramCredentialsDeletion{gone}}))
	Until("no such user", func() bool { return errors.Is(described().Error, kafka.ResourceNotFound) }, told)
}

func quotas() {
	user, key := Name("slow"), "producer_byte_rate"
	alter := func(op kafka.AlterClientQuotaOps) {
		entry := kafka.AlterClientQuotaEntry{
			Entities: []kafka.AlterClientQuotaEntity{{EntityType: "user", EntityName: user}}, Ops: []kafka.AlterClientQuotaOps{op},
		}
		answer := Must(client.AlterClientQuotas(background, &kafka.AlterClientQuotasRequest{Entries: []kafka.AlterClientQuotaEntry{entry}}))
		Ok(answer.Entries[0].Error)
	}
	described := func() (values []kafka.DescribeClientQuotasValue) {
		component := kafka.DescribeClientQuotasRequestComponent{EntityType: "user", MatchType: 0, Match: user}
		request := kafka.DescribeClientQuotasRequest{Components: []kafka.DescribeClientQuotasRequestComponent{component}, Strict: true}
		for _, entry := range Must(client.DescribeClientQuotas(background, &request)).Entries {
			values = append(values, entry.Values...)
		}
		return values
	}
	told := func() any { return described() }
	alter(kafka.AlterClientQuotaOps{Key: key, Value: 1e6})
	set := kafka.DescribeClientQuotasValue{Key: key, Value: 1e6}
	Until("the quota", func() bool { return len(described()) == 1 && described()[0] == set }, told)
	alter(kafka.AlterClientQuotaOps{Key: key, Remove: true})
	Until("no quota", func() bool { return len(described()) == 0 }, told)
}

func security() {
	Security(library{})
	acls()
	users()
	quotas()
}
