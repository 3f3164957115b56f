// Package iocage manages the jails that iocage keeps on a FreeBSD host, through libsysadm_iocage.
//
//	instance, err := iocage.Open("", iocage.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer instance.Close()
//
//	var answer struct{ Success string }
//	err = instance.Request("startjail", iocage.Args{"jail": "web"}, &answer)
//
// The actions, their arguments and answers are in the library's docs/api.md. All scalar values in
// answers are strings. Any number of goroutines may use one instance.
package iocage

/*
#cgo pkg-config: sysadm_iocage
#include <stdlib.h>
#include <sysadm_iocage.h>

// In callbacks.go. Go has no const, so each has a function of the right type before it.
extern _Bool sysadmIocageGoQueue(uintptr_t, char *, char **);
extern _Bool sysadmIocageGoActive(uintptr_t, char *);
extern void sysadmIocageGoLog(uintptr_t, int32_t, char *);
extern void sysadmIocageGoEnded(uintptr_t, char *, char *);

static bool go_queue(void *handle, const char *job, const char *const *argv)
{
	return sysadmIocageGoQueue((uintptr_t)handle, (char *)job, (char **)argv);
}

static bool go_active(void *handle, const char *job)
{
	return sysadmIocageGoActive((uintptr_t)handle, (char *)job);
}

static void go_log(void *handle, int32_t level, const char *message)
{
	sysadmIocageGoLog((uintptr_t)handle, level, (char *)message);
}

static void go_ended(void *handle, const char *job, const char *event)
{
	sysadmIocageGoEnded((uintptr_t)handle, (char *)job, (char *)event);
}

// The handle is a number, which Go must not take for a pointer.
static sysadm_iocage *go_open(const char *config, uintptr_t handle, bool queues, bool asks, bool logs,
                              bool tells, char **error)
{
	sysadm_iocage_host host = {
		sizeof host, (void *)handle, queues ? go_queue : NULL, asks ? go_active : NULL,
		logs ? go_log : NULL, tells ? go_ended : NULL,
	};

	return sysadm_iocage_open(config, &host, error);
}
*/
import "C"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/cgo"
	"strings"
	"sync"
	"unsafe"
)

// ConfigurationFile is the configuration of an instance that is given none, as in the sysadm server.
const ConfigurationFile = "/usr/local/etc/sysadm/iocage.json"

// ErrClosed is what a closed instance answers.
var ErrClosed = errors.New("the instance is closed")

// Access is what a user may do.
type Access int32

const (
	// Read is to see everything and to change nothing.
	Read Access = C.SYSADM_IOCAGE_ACCESS_READ
	// Full is to do everything.
	Full Access = C.SYSADM_IOCAGE_ACCESS_FULL
)

// Error is what could not be done. Code is a word for programs (not_found, in_use, ...) or a number
// (400, 403, 500); Message is one line for people. The library's docs/api.md has all codes.
type Error struct {
	Code, Message string
}

func (e *Error) Error() string {
	return e.Code + ": " + e.Message
}

// Args are the arguments of an action.
type Args map[string]any

// Options are what an instance may be told. All may be left out.
//
// The functions are called from any goroutine, several at once. They may use the instance, but must
// not close it. A panic is reported by the package log, and goes no further.
type Options struct {
	// ReadOnly lets Request change nothing.
	ReadOnly bool
	// QueueProcess hands a long job to the program's own dispatcher, and returns whether that has
	// taken it. Without it the library runs its jobs itself.
	QueueProcess func(job string, argv []string) bool
	// IsJobActive returns whether such a job still waits or runs.
	IsJobActive func(job string) bool
	// Log takes messages; the level is that of syslog. Without it what is changed is logged by syslog.
	Log func(level int, message string)
	// JobEnded is called when a job that the library ran itself has ended.
	JobEnded func(event Event)
}

// Instance is an instance of the library.
type Instance struct {
	access  Access
	pointer *C.sysadm_iocage
	handle  cgo.Handle

	mutex  sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// Version returns the version of the library.
func Version() string {
	return C.GoString(C.sysadm_iocage_version())
}

// Open makes an instance.
//
// config is the configuration, a JSON text; "{}" for what is built in. If it is empty, it is read from
// the file that the environment variable SYSADM_IOCAGE_CONFIG names, else from ConfigurationFile, if
// that exists.
func Open(config string, options Options) (*Instance, error) {
	if found := uint32(C.sysadm_iocage_abi_version()); found != C.SYSADM_IOCAGE_ABI_VERSION {
		return nil, fmt.Errorf("the library has version %d of the interface, and not %d",
			found, C.SYSADM_IOCAGE_ABI_VERSION)
	}
	if config == "" {
		var err error
		if config, err = configuration(); err != nil {
			return nil, err
		}
	}
	text, err := cString(config)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(text))
	handle := cgo.NewHandle(&options)
	var why *C.char
	pointer := C.go_open(text, C.uintptr_t(handle), C.bool(options.QueueProcess != nil),
		C.bool(options.IsJobActive != nil), C.bool(options.Log != nil),
		C.bool(options.JobEnded != nil), &why)
	if pointer == nil {
		handle.Delete()
		return nil, &Error{"500", string(take(why))}
	}
	access := Full
	if options.ReadOnly {
		access = Read
	}
	return &Instance{access: access, pointer: pointer, handle: handle}, nil
}

func configuration() (string, error) {
	path, chosen := os.LookupEnv("SYSADM_IOCAGE_CONFIG")
	if !chosen || path == "" {
		path, chosen = ConfigurationFile, false
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !chosen {
		return "{}", nil
	}
	return string(text), err
}

// Close ends the instance and the jobs that it runs itself, when the calls that other goroutines have
// made have returned. It must not be called from a callback. A second time it does nothing.
func (i *Instance) Close() {
	i.mutex.Lock()
	closed := i.closed
	i.closed = true
	i.mutex.Unlock()
	if closed {
		return
	}
	i.calls.Wait()
	C.sysadm_iocage_close(i.pointer)
	i.handle.Delete()
}

// begin says that a call is under way, which ends with i.calls.Done.
func (i *Instance) begin() error {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.closed {
		return ErrClosed
	}
	i.calls.Add(1)
	return nil
}

// Request carries out an action and puts its answer, which stands under the action's name, into
// answer: a pointer as for json.Unmarshal, or nil. args is Args, a struct, or nil.
//
// The error is an *Error if the library answers one. With "jails" (several) the answer has for each
// jail its own, or its "error" and "code": one's failure is no error here.
func (i *Instance) Request(action string, args, answer any) error {
	request, err := withAction(action, args)
	if err != nil {
		return err
	}
	_, reply, err := i.Evaluate(request, i.access)
	if err != nil {
		return err
	}
	var answers map[string]json.RawMessage
	if err := json.Unmarshal(reply, &answers); err != nil {
		return err
	}
	if refusal, refused := answers["error"]; refused {
		return errorIn(refusal)
	}
	if err := errorIn(answers[action]); err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(answers[action], answer)
}

// withAction makes a request of an action and its arguments.
func withAction(action string, args any) ([]byte, error) {
	request := map[string]any{}
	if args != nil {
		text, err := json.Marshal(args)
		if err != nil {
			return nil, err
		}
		// Numbers as they were written.
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&request); err != nil {
			return nil, fmt.Errorf("the arguments of %s: %w", action, err)
		}
	}
	if request == nil { // a nil map
		request = map[string]any{}
	}
	request["action"] = action
	return json.Marshal(request)
}

// errorIn returns the error that an answer is, in both forms that it may have.
func errorIn(answer json.RawMessage) error {
	var fields struct{ Code, Error, Message string }
	// What is no error has other things there.
	if json.Unmarshal(answer, &fields) != nil || fields.Code == "" {
		return nil
	}
	if message := fields.Error + fields.Message; message != "" {
		return &Error{fields.Code, message}
	}
	return nil
}

// Evaluate answers a request (its args, an object with action) with a reply and a status: 200 for an
// answer, which may be an action's error, 400, 403 or 500. It is for a server that hands on what its
// client sends.
func (i *Instance) Evaluate(args []byte, access Access) (status int, reply []byte, err error) {
	text, err := cString(string(args))
	if err != nil {
		return 0, nil, err
	}
	defer C.free(unsafe.Pointer(text))
	if err := i.begin(); err != nil {
		return 0, nil, err
	}
	defer i.calls.Done()
	var code C.int32_t
	reply = take(C.sysadm_iocage_evaluate(i.pointer, text, C.int32_t(access), &code))
	return int(code), reply, nil
}

// Message answers a whole WebSocket message with the whole response.
func (i *Instance) Message(message []byte, access Access) ([]byte, error) {
	text, err := cString(string(message))
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(text))
	if err := i.begin(); err != nil {
		return nil, err
	}
	defer i.calls.Done()
	return take(C.sysadm_iocage_message(i.pointer, text, C.int32_t(access))), nil
}

// cString is a text for C, to be freed. It would end at a NUL, and mean something else.
func cString(text string) (*C.char, error) {
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("a text with a NUL in it")
	}
	return C.CString(text), nil
}

// take is the text of a string that the library returned, which is freed; nil for NULL.
func take(text *C.char) []byte {
	if text == nil {
		return nil
	}
	defer C.sysadm_iocage_free(text)
	return []byte(C.GoString(text))
}
