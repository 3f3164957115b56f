package iocage

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The lab of sysadm-iocage, whose first pool is furnished. tests/bindings.rs runs this:
//
//	SYSADM_IOCAGE_CONFIG=FILE go test
func open(t *testing.T, options Options) *Instance {
	t.Helper()
	if os.Getenv("SYSADM_IOCAGE_CONFIG") == "" {
		t.Fatal("SYSADM_IOCAGE_CONFIG has to name the configuration of a lab")
	}
	instance, err := Open("", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(instance.Close)
	return instance
}

func fetch(t *testing.T, instance *Instance, release string) Started {
	t.Helper()
	var started Started
	if err := instance.Request("fetchreleases", Args{"releases": release}, &started); err != nil {
		t.Fatal(err)
	}
	return started
}

func codeOf(err error) string {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

const job = "sysadm_iocage_fetch_release_13.2-RELEASE"

func TestAnAnswerGoesIntoAStruct(t *testing.T) {
	instance := open(t, Options{})
	var answer struct {
		Jails map[string]struct {
			Name, State string
			Addresses   struct{ IP4 []struct{ Address string } }
		}
	}
	args := struct {
		Detail bool     `json:"detail"`
		Jails  []string `json:"jails"`
	}{true, []string{"web"}}
	if err := instance.Request("listjails", args, &answer); err != nil {
		t.Fatal(err)
	}
	web := answer.Jails["5"]
	if len(answer.Jails) != 1 || web.Name != "web" || web.Addresses.IP4[0].Address != "10.20.0.10" {
		t.Fatal(answer)
	}
	if err := instance.Request("listjails", Args(nil), nil); err != nil {
		t.Fatal(err)
	}
}

func TestAnErrorHasACodeAndAMessage(t *testing.T) {
	instance := open(t, Options{})
	for _, case_ := range []struct {
		code, action string
		args         any
	}{
		{"not_found", "getjailsettings", Args{"jail": "nobody"}},
		{"invalid_argument", "startjail", nil},
		{"invalid_argument", "startjail", Args{"jail": "a\x00b"}},
		{"400", "nothing", nil},
	} {
		err := instance.Request(case_.action, case_.args, nil)
		if codeOf(err) != case_.code || !strings.HasPrefix(err.Error(), case_.code+": ") {
			t.Errorf("%v: %v", case_, err)
		}
	}
	if err := instance.Request("listjails", []int{1}, nil); err == nil || codeOf(err) != "" {
		t.Error(err)
	}
}

func TestWhoMayReadChangesNothing(t *testing.T) {
	instance := open(t, Options{ReadOnly: true})
	if err := instance.Request("stopjail", Args{"jail": "web"}, nil); codeOf(err) != "403" {
		t.Error(err)
	}
	status, reply, err := instance.Evaluate([]byte(`{"action": "activatestatus"}`), Read)
	if err != nil || status != 200 || !json.Valid(reply) {
		t.Error(status, string(reply), err)
	}
	if status, _, _ = instance.Evaluate([]byte(`[]`), Full); status != 400 {
		t.Error(status)
	}
	message := []byte(`{"id": "a", "namespace": "sysadm", "name": "iocage", "args": {"action": "stopjail", "jail": "web"}}`)
	response, err := instance.Message(message, Read)
	if err != nil || !strings.Contains(string(response), `"403"`) {
		t.Error(string(response), err)
	}
}

func TestAJobIsWaitedForAndItsEndIsTold(t *testing.T) {
	told := make(chan Event, 1)
	instance := open(t, Options{JobEnded: func(event Event) { told <- event }})
	started := fetch(t, instance, "13.2-RELEASE")
	if len(started.Jobs) != 1 || started.Jobs[0] != job {
		t.Fatal(started)
	}
	seen := 0
	ended, err := instance.Wait(context.Background(), started, func(Event) { seen++ })
	if err != nil || len(ended) != 1 || ended[0].Success != "true" || seen == 0 {
		t.Fatal(ended, err, seen)
	}
	select {
	case event := <-told:
		if event.Job != job || event.Success != "true" || len(event.Details) == 0 {
			t.Error(event)
		}
	case <-time.After(time.Minute):
		t.Error("JobEnded was not called")
	}
	event, err := instance.Progress(job, nil)
	if err != nil || event.State != "finished" {
		t.Error(event, err)
	}
	if event, err := instance.Progress("another", nil); event != nil || err != nil {
		t.Error(event, err)
	}
	if _, err := instance.Progress(job, []byte("no log")); codeOf(err) != "400" {
		t.Error(err)
	}
	_, err = instance.Wait(context.Background(), fetch(t, instance, "9.9-RELEASE"), nil)
	if codeOf(err) != "failed" {
		t.Error(err)
	}
}

func TestTheProgramsDispatcherGetsTheJob(t *testing.T) {
	var mutex sync.Mutex
	queued := map[string][]string{}
	instance := open(t, Options{
		QueueProcess: func(job string, argv []string) bool {
			mutex.Lock()
			defer mutex.Unlock()
			queued[job] = argv
			return true
		},
		IsJobActive: func(job string) bool {
			mutex.Lock()
			defer mutex.Unlock()
			return queued[job] != nil
		},
	})
	fetch(t, instance, "13.2-RELEASE")
	if words := strings.Join(queued[job], " "); !strings.HasSuffix(words, "/iocage fetch -r 13.2-RELEASE") {
		t.Error(words)
	}
	again := fetch(t, instance, "13.2-RELEASE")
	if len(again.Jobs) != 0 || len(again.AlreadyRunning) != 1 {
		t.Error(again)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := instance.Wait(ctx, again, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	log := []byte(`{"state": "finished", "process_id": "` + job + `"}`)
	if _, err := instance.Progress(job, log); err != nil {
		t.Error(err)
	}
}

func TestAPanicInACallbackGoesNoFurther(t *testing.T) {
	fail := func() { panic("on purpose") }
	queue := func(string, []string) bool { fail(); return true }
	instance := open(t, Options{QueueProcess: queue, Log: func(int, string) { fail() }})
	if err := instance.Request("fetchreleases", Args{"releases": "13.2-RELEASE"}, nil); codeOf(err) != "failed" {
		t.Error(err)
	}
	// A job that nobody could ask about counts as one that runs.
	instance = open(t, Options{QueueProcess: queue, IsJobActive: func(string) bool { fail(); return false }})
	if started := fetch(t, instance, "13.2-RELEASE"); len(started.AlreadyRunning) != 1 {
		t.Error(started)
	}
	instance = open(t, Options{JobEnded: func(Event) { fail() }})
	if _, err := instance.Wait(context.Background(), fetch(t, instance, "13.2-RELEASE"), nil); err != nil {
		t.Error(err)
	}
}

func TestManyGoroutinesAskWhileOneCloses(t *testing.T) {
	instance := open(t, Options{Log: func(int, string) {}})
	var all sync.WaitGroup
	answered := make(chan bool, 1)
	for n := 0; n < 8; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				err := instance.Request("listjails", nil, nil)
				if errors.Is(err, ErrClosed) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				select {
				case answered <- true:
				default:
				}
			}
		}()
	}
	<-answered
	instance.Close()
	all.Wait()
	instance.Close()
}

func TestAWrongConfigurationIsNamed(t *testing.T) {
	if _, err := Open(`{"pool": []}`, Options{}); codeOf(err) != "500" || !strings.Contains(err.Error(), `"pool"`) {
		t.Error(err)
	}
	if _, err := Open("{}\x00", Options{}); err == nil {
		t.Error("a NUL")
	}
	t.Setenv("SYSADM_IOCAGE_CONFIG", "/nowhere.json")
	if _, err := Open("", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestWhatTheLibraryReturnsIsFreed(t *testing.T) {
	instance := open(t, Options{})
	// Its id comes back with the response.
	message := []byte(`{"id": "` + strings.Repeat("x", 200_000) + `", "args": {"action": "activatestatus"}}`)
	ask := func() {
		if response, err := instance.Message(message, Full); err != nil || len(response) < 200_000 {
			t.Fatal(len(response), err)
		}
	}
	for n := 0; n < 30; n++ {
		ask()
	}
	before := resident(t)
	for n := 0; n < 100; n++ {
		ask()
	}
	// 20 MB in all.
	if grown := resident(t) - before; grown > 8_000_000 {
		t.Error(grown)
	}
}

// resident is how many bytes this process has had in memory at most.
func resident(t *testing.T) int64 {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return int64(usage.Maxrss) * 1024
}

func TestTheVersionIsThatOfTheLibrary(t *testing.T) {
	if expected := os.Getenv("SYSADM_IOCAGE_VERSION"); Version() != expected {
		t.Errorf("%s, not %s", Version(), expected)
	}
}
