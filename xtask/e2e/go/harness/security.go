package harness

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// PermissionDelay because Kafka's permissions hold a moment after they were acknowledged.
const PermissionDelay = 300 * time.Millisecond

// RefusalPatience is how long a refusal may take: libraries may try again a few times.
const RefusalPatience = 20 * time.Second

// Login is how to come in at a listener that asks who it is.
type Login struct {
	Listener       string // SCRAM, TLS or MTLS
	Mechanism      string // none where a certificate tells who it is
	User, Password string
}

// Address is where the listener is.
func (l Login) Address() string { return os.Getenv(l.Listener) }

// Principal is who it is.
func (l Login) Principal() string {
	if l.Mechanism == "" {
		return os.Getenv("PRINCIPAL")
	}
	return "User:" + l.User
}

// TLS trusts the scenario's authority, and shows its client's certificate where one is asked for; nothing without TLS.
func (l Login) TLS() *tls.Config {
	if l.Listener == "SCRAM" {
		return nil
	}
	file := func(name string) string { return filepath.Join(os.Getenv("CERTIFICATES"), name) }
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	Check("an authority", config.RootCAs.AppendCertsFromPEM(Must(os.ReadFile(file("ca.pem")))))
	if l.Mechanism == "" {
		config.Certificates = []tls.Certificate{Must(tls.LoadX509KeyPair(file("client.pem"), file("client.key")))}
	}
	return config
}

// Refusals are the library's own errors.
type Refusals struct{ Login, Topic, Group error }

// Secured is what the scenario `security` needs of a client library.
type Secured interface {
	Create(topic string, partitions int) string
	// Login comes in, or not.
	Login(login Login) error
	// SendAs sends values to partition 0.
	SendAs(login Login, topic string, values []string) error
	// ReadAs reads values from the beginning, as a group's member.
	ReadAs(login Login, group, topic string, count int) ([]string, error)
	// Grant lets a principal write and read a topic, or read with a group; the other is empty.
	Grant(principal, topic, group string)
	// Is tells whether an error is another, as the library's users find out.
	Is(err, refusal error) bool
	Refusals() Refusals
}

// Logins are all ways to come in.
func Logins() (logins []Login) {
	for _, way := range []string{"SCRAM SCRAM-SHA-256", "SCRAM SCRAM-SHA-512", "TLS SCRAM-SHA-512", "TLS PLAIN", "MTLS "} {
		listener, mechanism, _ := strings.Cut(way, " ")
		logins = append(logins, Login{listener, mechanism, os.Getenv("USERNAME"), os.Getenv("PASSWORD")})
	}
	return logins
}

// Security comes in in every way; a wrong password is of no use; what was not granted is refused, and what was is done.
func Security(lib Secured) {
	for _, login := range Logins() {
		label := strings.ToLower(login.Listener + "-" + login.Mechanism)
		if login.Mechanism != "" {
			wrong, nobody := login, login
			wrong.Password, nobody.User = "wrong", "nobody"
			refused(lib, label+": wrong password", lib.Refusals().Login, lib.Login(wrong))
			refused(lib, label+": nobody", lib.Refusals().Login, lib.Login(nobody))
		}
		Ok(lib.Login(login))
		permissions(lib, label, login)
	}
}

func refused(lib Secured, what string, wanted, err error) {
	Check(fmt.Sprintf("%s: got %v, want %v", what, err, wanted), err != nil && lib.Is(err, wanted))
}

func permissions(lib Secured, label string, login Login) {
	topic, group := lib.Create(Name("secure-"+label), 1), Name("secure-"+label+"-group")
	var values []string
	for number := range 100 {
		values = append(values, fmt.Sprintf("%s-%d", label, number))
	}
	refused(lib, label+": writing", lib.Refusals().Topic, lib.SendAs(login, topic, values))
	lib.Grant(login.Principal(), topic, "")
	time.Sleep(PermissionDelay)
	Ok(lib.SendAs(login, topic, values))
	_, err := lib.ReadAs(login, group, topic, len(values))
	refused(lib, label+": joining", lib.Refusals().Group, err)
	lib.Grant(login.Principal(), "", group)
	time.Sleep(PermissionDelay)
	Equal(label+": what was read", Must(lib.ReadAs(login, group, topic, len(values))), values)
	other := lib.Create(Name("secure-"+label+"-other"), 1)
	_, err = lib.ReadAs(login, group, other, 1)
	refused(lib, label+": reading another topic", lib.Refusals().Topic, err)
}
