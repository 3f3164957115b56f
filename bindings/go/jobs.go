package iocage

// #include <stdlib.h>
// #include <sysadm_iocage.h>
import "C"

import (
	"context"
	"encoding/json"
	"time"
	"unsafe"
)

// Event is how far a job is. What is not known is empty.
type Event struct {
	Job          string `json:"job_id"`
	State        string `json:"state"` // pending, running or finished
	Filename     string `json:"filename"`
	PercentDone  string `json:"percent_done"`
	DownloadRate string `json:"download_rate"`
	Success      string `json:"success"` // of a finished one: true or false
	Error        string `json:"error"`   // the last words of the command, if it failed
	// Details is the log of the job.
	Details json.RawMessage `json:"process_details"`
}

// Started is the answer of an action that starts jobs: their ids.
type Started struct {
	Jobs           []string
	AlreadyRunning []string
}

// UnmarshalJSON reads an answer, which has one id as a string and several as an array.
func (s *Started) UnmarshalJSON(text []byte) error {
	var answer struct {
		Started        json.RawMessage `json:"started_dispatcher_id"`
		AlreadyRunning []string        `json:"already_running"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	s.AlreadyRunning = answer.AlreadyRunning
	if len(answer.Started) == 0 {
		return nil
	}
	if answer.Started[0] == '"' {
		s.Jobs = make([]string, 1)
		return json.Unmarshal(answer.Started, &s.Jobs[0])
	}
	return json.Unmarshal(answer.Started, &s.Jobs)
}

// Progress returns the event of a job, or nil if the job is not of this library. log is the log of a
// job in the program's own dispatcher, else nil.
func (i *Instance) Progress(job string, log []byte) (*Event, error) {
	id, err := cString(job)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(id))
	var text *C.char
	if log != nil {
		if text, err = cString(string(log)); err != nil {
			return nil, err
		}
		defer C.free(unsafe.Pointer(text))
	}
	if err := i.begin(); err != nil {
		return nil, err
	}
	reply := take(C.sysadm_iocage_progress(i.pointer, id, text))
	i.calls.Done()
	if reply == nil {
		return nil, nil
	}
	var refused struct{ Error json.RawMessage }
	if err := json.Unmarshal(reply, &refused); err != nil {
		return nil, err
	}
	if err := errorIn(refused.Error); err != nil {
		return nil, err
	}
	event := new(Event)
	return event, json.Unmarshal(reply, event)
}

// Wait waits until all jobs that were started or already ran have ended, and returns their last
// events. progress, if it is not nil, gets an event of each job several times a second, and its last
// one. The error is an *Error if a job has failed, when all have ended, and that of ctx if that is
// done first; the jobs run on then.
func (i *Instance) Wait(ctx context.Context, started Started, progress func(Event)) ([]Event, error) {
	var ended []Event
	waiting := append(append([]string(nil), started.Jobs...), started.AlreadyRunning...)
	for {
		var running []string
		for _, job := range waiting {
			var event Event
			if err := i.Request("jobstatus", Args{"job": job}, &event); err != nil {
				return ended, err
			}
			if event.State == "finished" {
				ended = append(ended, event)
			} else {
				running = append(running, job)
			}
			if progress != nil {
				progress(event)
			}
		}
		if waiting = running; len(waiting) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ended, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	for _, event := range ended {
		if event.Success == "false" {
			return ended, &Error{"failed", event.Job + ": " + event.Error}
		}
	}
	return ended, nil
}
