package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	. "fleuve/e2e/harness"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// exchange is SCRAM, which sarama leaves to others.
type exchange struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

func (e *exchange) Begin(user, password, authorization string) error {
	client, err := e.hash.NewClient(user, password, authorization)
	if err == nil {
		e.conversation = client.NewConversation()
	}
	return err
}

func (e *exchange) Step(challenge string) (string, error) { return e.conversation.Step(challenge) }

func (e *exchange) Done() bool { return e.conversation.Done() }

func configOf(login Login) *sarama.Config {
	config := config()
	config.Metadata.Retry.Max = 1
	if tls := login.TLS(); tls != nil {
		config.Net.TLS.Enable, config.Net.TLS.Config = true, tls
	}
	if login.Mechanism != "" {
		config.Net.SASL.Enable, config.Net.SASL.Mechanism = true, sarama.SASLMechanism(login.Mechanism)
		config.Net.SASL.User, config.Net.SASL.Password = login.User, login.Password
	}
	hash := map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": sha256.New, "SCRAM-SHA-512": sha512.New}[login.Mechanism]
	config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &exchange{hash: hash} }
	return config
}

func (library) Login(login Login) error { return loginWith(login, configOf(login)) }

func loginWith(login Login, config *sarama.Config) error {
	client, err := sarama.NewClient([]string{login.Address()}, config)
	if err == nil {
		Ok(client.Close())
	}
	return err
}

func (library) SendAs(login Login, topic string, values []string) error {
	sender := Must(sarama.NewSyncProducer([]string{login.Address()}, configOf(login)))
	defer sender.Close()
	for _, value := range values {
		if _, _, err := sender.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}); err != nil {
			return err
		}
	}
	return nil
}

// reader keeps what it is given, and ends when that is enough.
type reader struct {
	values []string
	count  int
	stop   context.CancelFunc
}

func (*reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		r.values = append(r.values, string(message.Value))
		if len(r.values) >= r.count {
			r.stop()
		}
	}
	return nil
}

func (library) ReadAs(login Login, group, topic string, count int) ([]string, error) {
	limited, stop := context.WithTimeout(context.Background(), RefusalPatience)
	defer stop()
	consumer, err := sarama.NewConsumerGroup([]string{login.Address()}, group, configOf(login))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	errs := make(chan error, 100)
	go func() {
		for err := range consumer.Errors() {
			errs <- err
		}
	}()
	r := &reader{count: count, stop: stop}
	for len(r.values) < count {
		if err := consumer.Consume(limited, []string{topic}, r); err != nil {
			return nil, err
		}
		select {
		case err := <-errs:
			return nil, err
		default:
		}
	}
	return r.values, nil
}

func (library) Grant(principal, topic, group string) {
	grant := func(kind sarama.AclResourceType, name string, operation sarama.AclOperation) {
		resource := sarama.Resource{ResourceType: kind, ResourceName: name, ResourcePatternType: sarama.AclPatternLiteral}
		rule := sarama.Acl{Principal: principal, Host: "*", Operation: operation, PermissionType: sarama.AclPermissionAllow}
		Ok(adminClient().CreateACL(resource, rule))
	}
	if topic != "" {
		grant(sarama.AclResourceTopic, topic, sarama.AclOperationRead)
		grant(sarama.AclResourceTopic, topic, sarama.AclOperationWrite)
	} else {
		grant(sarama.AclResourceGroup, group, sarama.AclOperationRead)
	}
}

func (library) Is(err, refusal error) bool { return errors.Is(err, refusal) }

func (library) Refusals() Refusals {
	return Refusals{
		Login: sarama.ErrSASLAuthenticationFailed, Topic: sarama.ErrTopicAuthorizationFailed, Group: sarama.ErrGroupAuthorizationFailed,
	}
}

// oldHandshake logs in as clients did before there was SaslAuthenticate: the mechanism's messages have no headers.
func oldHandshake() {
	for _, login := range Logins() {
		if login.Mechanism == "" {
			continue
		}
		old := func(login Login) *sarama.Config {
			config := configOf(login)
			config.Version, config.ApiVersionsRequest = sarama.V1_0_0_0, false
			config.Net.SASL.Version = sarama.SASLHandshakeV0
			return config
		}
		Ok(loginWith(login, old(login)))
		login.Password = "wrong"
		Check("a wrong password after the old handshake", loginWith(login, old(login)) != nil)
	}
}

// acls: rules are made, found by whose and of what they are, and deleted.
func acls() {
	topic, alice := Name("ruled"), "User:"+Name("alice")
	rule := func(operation sarama.AclOperation) *sarama.Acl {
		return &sarama.Acl{Principal: alice, Host: "*", Operation: operation, PermissionType: sarama.AclPermissionAllow}
	}
	ofTopic := sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: topic, ResourcePatternType: sarama.AclPatternLiteral}
	ofGroups := sarama.Resource{ResourceType: sarama.AclResourceGroup, ResourceName: Name("r"), ResourcePatternType: sarama.AclPatternPrefixed}
	deny := &sarama.Acl{Principal: alice, Host: "127.0.0.1", Operation: sarama.AclOperationAll, PermissionType: sarama.AclPermissionDeny}
	Ok(adminClient().CreateACLs([]*sarama.ResourceAcls{
		{Resource: ofTopic, Acls: []*sarama.Acl{rule(sarama.AclOperationRead), rule(sarama.AclOperationWrite)}},
		{Resource: ofGroups, Acls: []*sarama.Acl{deny}},
	}))
	every := sarama.AclFilter{
		ResourceType: sarama.AclResourceAny, ResourcePatternTypeFilter: sarama.AclPatternAny, Principal: &alice,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
	}
	described := func() (count int) {
		for _, resource := range Must(adminClient().ListAcls(every)) {
			count += len(resource.Acls)
		}
		return count
	}
	Until("three rules", func() bool { return described() == 3 }, func() any { return described() })
	every.ResourceType, every.ResourceName = sarama.AclResourceTopic, &topic
	Equal("deleted", len(Must(adminClient().DeleteACL(every, false))), 2)
	every.ResourceType, every.ResourceName = sarama.AclResourceAny, nil
	Until("one is left", func() bool { return described() == 1 }, func() any { return described() })
}

func users() {
	user := Name("scram-user")
	mechanisms := []sarama.ScramMechanismType{sarama.SCRAM_MECHANISM_SHA_256, sarama.SCRAM_MECHANISM_SHA_512}
	var made []sarama.AlterUserScramCredentialsUpsert
	var gone []sarama.AlterUserScramCredentialsDelete
	for _, mechanism := range mechanisms {
		made = append(made, sarama.AlterUserScramCredentialsUpsert{
			Name: user, Mechanism: mechanism, Iterations: 8192, Salt: []byte("salted"), Password: []byte("secret"),
		})
		gone = append(gone, sarama.AlterUserScramCredentialsDelete{Name: user, Mechanism: mechanism})
	}
	Equal("made", Must(adminClient().UpsertUserScramCredentials(made))[0].ErrorCode, sarama.ErrNoError)
	described := func() *sarama.DescribeUserScramCredentialsResult {
		return Must(adminClient().DescribeUserScramCredentials([]string{user}))[0]
	}
	told := func() any { return fmt.Sprint(described()) }
	Until("both mechanisms", func() bool { return len(described().CredentialInfos) == 2 }, told)
	Equal("iterations", described().CredentialInfos[0].Iterations, int32(8192))
	Equal("deleted", Must(adminClient().DeleteUserScramCredentials(gone))[0].ErrorCode, sarama.ErrNoError)
	notFound := sarama.KError(91) // RESOURCE_NOT_FOUND, which sarama has no name for
	Until("no such user", func() bool { return described().ErrorCode == notFound }, told)
}

func quotas() {
	user, key := Name("slow"), "producer_byte_rate"
	entity := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchExact, Name: user}}
	filter := []sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchExact, Match: user}}
	described := func() []sarama.DescribeClientQuotasEntry {
		return Must(adminClient().DescribeClientQuotas(filter, true))
	}
	told := func() any { return described() }
	Ok(adminClient().AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: key, Value: 1e6}, false))
	Until("the quota", func() bool { return len(described()) == 1 && described()[0].Values[key] == 1e6 }, told)
	Ok(adminClient().AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: key, Remove: true}, false))
	Until("no quota", func() bool { return len(described()) == 0 }, told)
}

func security() {
	Security(library{})
	oldHandshake()
	acls()
	users()
	quotas()
}
