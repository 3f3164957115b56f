package iocage

// #include <stdbool.h>
// #include <stdint.h>
import "C"

import (
	"encoding/json"
	"log"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"
)

// guard keeps a panic of a callback from passing through the library.
func guard(name string) {
	if problem := recover(); problem != nil {
		log.Printf("iocage: %s: panic: %v\n%s", name, problem, debug.Stack())
	}
}

func optionsOf(handle C.uintptr_t) *Options {
	return cgo.Handle(handle).Value().(*Options)
}

//export sysadmIocageGoQueue
func sysadmIocageGoQueue(handle C.uintptr_t, job *C.char, argv **C.char) (taken C.bool) {
	defer guard("QueueProcess")
	var words []string
	for at := argv; *at != nil; at = (**C.char)(unsafe.Add(unsafe.Pointer(at), unsafe.Sizeof(*at))) {
		words = append(words, C.GoString(*at))
	}
	return C.bool(optionsOf(handle).QueueProcess(C.GoString(job), words))
}

//export sysadmIocageGoActive
func sysadmIocageGoActive(handle C.uintptr_t, job *C.char) (active C.bool) {
	active = true // what the job uses stays held after a panic
	defer guard("IsJobActive")
	return C.bool(optionsOf(handle).IsJobActive(C.GoString(job)))
}

//export sysadmIocageGoLog
func sysadmIocageGoLog(handle C.uintptr_t, level C.int32_t, message *C.char) {
	defer guard("Log")
	optionsOf(handle).Log(int(level), C.GoString(message))
}

//export sysadmIocageGoEnded
func sysadmIocageGoEnded(handle C.uintptr_t, _, event *C.char) {
	defer guard("JobEnded")
	var ended Event
	if err := json.Unmarshal([]byte(C.GoString(event)), &ended); err != nil {
		panic(err)
	}
	optionsOf(handle).JobEnded(ended)
}
