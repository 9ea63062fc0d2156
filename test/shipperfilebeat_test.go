package test

import (
	"errors"
	"fmt"
	"time"
)

// filebeatConfig are the settings of Filebeat that deploy/logs has, by
// filebeat.reference.yml of Filebeat 8.
type filebeatConfig struct {
	Inputs     []filestream        `json:"filebeat.inputs"`
	Processors []filebeatProcessor `json:"processors"`
	Template   bool                `json:"setup.template.enabled"`
	ILM        bool                `json:"setup.ilm.enabled"`
	Output     struct {
		Hosts  []string `json:"hosts"`
		APIKey string   `json:"api_key"`
		Index  string   `json:"index"`
	} `json:"output.elasticsearch"`
	Queue struct {
		MaxSize string `json:"max_size"`
	} `json:"queue.disk"`
}

// filestream is the input of that name; the input "container" knows no parsers.
type filestream struct {
	Type        string           `json:"type"`
	ID          string           `json:"id"`
	Paths       []string         `json:"paths"`
	Symlinks    bool             `json:"prospector.scanner.symlinks"`
	DisableHost bool             `json:"publisher_pipeline.disable_host"`
	Parsers     []filebeatParser `json:"parsers"`
}

type filebeatParser struct {
	Container *struct {
		Stream string `json:"stream"`
	} `json:"container"`
	NDJSON *struct {
		Target        *string `json:"target"`
		OverwriteKeys bool    `json:"overwrite_keys"`
		AddErrorKey   bool    `json:"add_error_key"`
	} `json:"ndjson"`
}

type filebeatProcessor struct {
	Timestamp *struct {
		Field         string   `json:"field"`
		Layouts       []string `json:"layouts"`
		Test          []string `json:"test"`
		IgnoreMissing bool     `json:"ignore_missing"`
	} `json:"timestamp"`
	DropFields *struct {
		Fields        []string `json:"fields"`
		IgnoreMissing bool     `json:"ignore_missing"`
	} `json:"drop_fields"`
}

// filebeat are the inputs of a config.
func filebeat(config string) ([]shipper, error) {
	var c filebeatConfig
	if err := strictYAML(config, &c); err != nil {
		return nil, err
	}
	// A template or a policy of Filebeat's own would take the place of ours.
	if c.Template || c.ILM {
		return nil, fmt.Errorf("Filebeat makes a template or a policy of its own")
	}
	for _, p := range c.Processors {
		if p.Timestamp != nil {
			for _, test := range p.Timestamp.Test { // Filebeat does not start where one fails
				if _, err := filebeatTime(p.Timestamp.Layouts, test); err != nil {
					return nil, err
				}
			}
		}
	}
	var out []shipper
	for _, input := range c.Inputs {
		if input.Type != "filestream" || input.ID == "" {
			return nil, fmt.Errorf("an input is %+v", input)
		}
		out = append(out, func(line string) (*document, error) {
			event := input.read(line)
			if event == nil {
				return nil, nil
			}
			input.annotate(event)
			// An error ends the processors; the event is sent as it is by then.
			err := process(event, c.Processors)
			return &document{stream: c.Output.Index, fields: event}, err
		})
	}
	return out, nil
}

// read is what the parsers of an input make of a line.
func (f filestream) read(line string) map[string]any {
	event := map[string]any{"@timestamp": now()}
	for _, p := range f.Parsers {
		switch {
		case p.Container != nil:
			at, stream, text, err := containerLine(line)
			if err != nil || p.Container.Stream != "all" && stream != p.Container.Stream {
				return nil
			}
			event["@timestamp"], event["stream"], line = at, stream, text
		case p.NDJSON != nil:
			fields, err := objectOf(line)
			if err != nil {
				event["message"] = line
				if p.NDJSON.AddErrorKey {
					event["error"] = map[string]any{"message": err.Error(), "type": "json"}
				}
				continue
			}
			into := event
			if p.NDJSON.Target == nil || *p.NDJSON.Target != "" {
				into = map[string]any{} // under the target, "json" where it is left out
				event["json"] = into
			}
			for name, value := range fields {
				if _, there := into[name]; (!there || p.NDJSON.OverwriteKeys) && value != nil { // keep_null is off
					into[name] = value
				}
			}
		}
	}
	return event
}

// annotate adds what Filebeat adds to each event, of the input and then of itself. What
// is no object gives way to what is one (libbeat/publisher/processing/default.go, and
// DeepUpdateNoOverwrite of elastic-agent-libs/mapstr).
func (f filestream) annotate(event map[string]any) {
	event["input"] = map[string]any{"type": f.Type}
	event["log"] = map[string]any{"offset": 0, "file": map[string]any{"path": f.Paths[0]}}
	event["ecs"] = map[string]any{"version": "8.0.0"}
	event["agent"] = map[string]any{"type": "filebeat"}
	if !f.DisableHost {
		event["host"] = map[string]any{"name": "a machine"}
	}
}

// process runs the processors on an event (libbeat/processors/timestamp, actions).
func process(event map[string]any, processors []filebeatProcessor) error {
	for _, p := range processors {
		switch {
		case p.Timestamp != nil:
			value, there := event[p.Timestamp.Field]
			if !there && p.Timestamp.IgnoreMissing {
				continue
			}
			at, err := filebeatTime(p.Timestamp.Layouts, fmt.Sprint(value))
			if err != nil {
				return err
			}
			event["@timestamp"] = at.UTC().Format(inMilliseconds)
		case p.DropFields != nil:
			for _, name := range p.DropFields.Fields {
				if _, there := event[name]; !there && !p.DropFields.IgnoreMissing {
					return fmt.Errorf("there is no %s to be dropped", name)
				}
				delete(event, name)
			}
		}
	}
	return nil
}

// filebeatTime is a time in the first of the layouts that takes it.
func filebeatTime(layouts []string, value string) (time.Time, error) {
	var errs []error
	for _, layout := range layouts {
		at, err := time.ParseInLocation(layout, value, time.UTC)
		if err == nil {
			return at, nil
		}
		errs = append(errs, err)
	}
	return time.Time{}, errors.Join(errs...)
}
