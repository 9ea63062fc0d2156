package test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// fluentBitConfig are the settings of Fluent Bit that deploy/logs has, by the tables of
// its plugins (config_map in plugins/in_tail, filter_grep, filter_parser and out_es, and
// src/flb_config.c, of Fluent Bit 5.1).
type fluentBitConfig struct {
	Service struct {
		Flush           int    `json:"flush"`
		StoragePath     string `json:"storage.path"`
		StorageSync     string `json:"storage.sync"`
		BacklogMemLimit string `json:"storage.backlog.mem_limit"`
		SchedulerBase   int    `json:"scheduler.base"` // seconds
		SchedulerCap    int    `json:"scheduler.cap"`  // seconds
	} `json:"service"`
	Parsers  []fluentBitParser `json:"parsers"`
	Pipeline struct {
		Inputs  []fluentBitTail   `json:"inputs"`
		Filters []fluentBitFilter `json:"filters"`
		Outputs []fluentBitES     `json:"outputs"`
	} `json:"pipeline"`
}

type fluentBitParser struct {
	Name       string `json:"name"`
	Format     string `json:"format"`
	TimeKey    string `json:"time_key"`
	TimeFormat string `json:"time_format"`
}

type fluentBitTail struct {
	Name            string `json:"name"`
	Tag             string `json:"tag"`
	Path            string `json:"path"`
	DB              string `json:"db"`
	ReadFromHead    bool   `json:"read_from_head"`
	Parser          string `json:"parser"`
	MultilineParser string `json:"multiline.parser"`
	StorageType     string `json:"storage.type"`
	BufferMaxSize   string `json:"buffer_max_size"`
	SkipLongLines   bool   `json:"skip_long_lines"`
}

type fluentBitFilter struct {
	Name    string `json:"name"`
	Match   string `json:"match"`
	Regex   string `json:"regex"`
	KeyName string `json:"key_name"`
	Parser  string `json:"parser"`
}

type fluentBitES struct {
	Name             string `json:"name"`
	Match            string `json:"match"`
	Host             string `json:"host"`
	Port             int    `json:"port"`
	User             string `json:"http_user"`
	Password         string `json:"http_passwd"`
	TLS              bool   `json:"tls"`
	Index            string `json:"index"`
	WriteOperation   string `json:"write_operation"`
	SuppressTypeName bool   `json:"suppress_type_name"`
	TotalLimitSize   string `json:"storage.total_limit_size"`
	RetryLimit       string `json:"retry_limit"`
}

// fluentBit are the inputs of a config.
func fluentBit(config string) ([]shipper, error) {
	var c fluentBitConfig
	if err := strictYAML(config, &c); err != nil {
		return nil, err
	}
	var out []shipper
	for _, input := range c.Pipeline.Inputs {
		if input.Name != "tail" || len(c.Pipeline.Outputs) != 1 {
			return nil, fmt.Errorf("an input is %+v, of %d outputs", input, len(c.Pipeline.Outputs))
		}
		// A file that waits on disk needs a place there, and one that stays has an end.
		if input.StorageType != "filesystem" || c.Service.StoragePath == "" || !input.SkipLongLines || !input.ReadFromHead {
			return nil, fmt.Errorf("what is not sent, or is long, or was there before, is lost: %+v", input)
		}
		out = append(out, func(line string) (*document, error) { return c.ship(input, line) })
	}
	return out, nil
}

// ship is what becomes of a line: a record of the input, through the filters, to the output.
func (c fluentBitConfig) ship(input fluentBitTail, line string) (*document, error) {
	record, at, err := c.tail(input, line)
	if err != nil {
		return nil, err
	}
	if input.MultilineParser != "" { // the filters are this input's alone
		for _, f := range c.Pipeline.Filters {
			if f.Match != input.Tag {
				return nil, fmt.Errorf("%s matches %s, and the tag is %s", f.Name, f.Match, input.Tag)
			}
			if record, at, err = c.filter(f, record, at); err != nil || record == nil {
				return nil, err
			}
		}
	}
	return c.Pipeline.Outputs[0].document(input.Tag, record, at)
}

// tail is the record of a line. With a parser of lines that belong together, the other
// parser is not asked (process_content in plugins/in_tail/tail_file.c).
func (c fluentBitConfig) tail(input fluentBitTail, line string) (record map[string]any, at string, err error) {
	if input.MultilineParser != "" {
		if !slices.Contains(strings.Split(input.MultilineParser, ", "), "cri") {
			return nil, "", fmt.Errorf("%s does not know lines of CRI", input.MultilineParser)
		}
		at, stream, text, err := containerLine(line)
		return map[string]any{"time": at, "stream": stream, "_p": "F", "log": text}, at, err
	}
	if input.Parser != "" {
		if record, at, err := c.parse(input.Parser, line); err == nil {
			return record, at, nil
		}
	}
	return map[string]any{"log": line}, now(), nil
}

// parse is what a parser of JSON makes of a text; the key of the time is no part of it
// (src/flb_parser_json.c: time_keep is off).
func (c fluentBitConfig) parse(name, text string) (record map[string]any, at string, err error) {
	i := slices.IndexFunc(c.Parsers, func(p fluentBitParser) bool { return p.Name == name && p.Format == "json" })
	if i < 0 {
		return nil, "", fmt.Errorf("there is no parser %s of JSON", name)
	}
	p := c.Parsers[i]
	record, err = objectOf(text)
	if err != nil {
		return nil, "", err
	}
	value, ok := record[p.TimeKey].(string)
	if !ok {
		return record, now(), nil
	}
	layout := strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05", "%L", "000").Replace(p.TimeFormat)
	parsed, err := time.Parse(layout, value)
	if err != nil || !strings.Contains(p.TimeFormat, "%L") { // strptime goes as far as it can
		return record, "1970-01-01T00:00:00.000Z", nil
	}
	delete(record, p.TimeKey)
	return record, parsed.Format(inMilliseconds), nil
}

// filter is what a filter makes of a record: nil where it is left out.
func (c fluentBitConfig) filter(f fluentBitFilter, record map[string]any, at string) (map[string]any, string, error) {
	switch f.Name {
	case "grep":
		key, expr, _ := strings.Cut(f.Regex, " ")
		matches, err := regexp.MatchString(expr, fmt.Sprint(record[key]))
		if err != nil || !matches {
			return nil, "", err
		}
		return record, at, nil
	case "parser": // what is not of its form goes on as it is; reserve_data is off
		parsed, when, err := c.parse(f.Parser, fmt.Sprint(record[f.KeyName]))
		if err != nil {
			return record, at, nil
		}
		return parsed, when, nil
	default:
		return nil, "", fmt.Errorf("a filter is %s", f.Name)
	}
}

// document is what the output sends (elasticsearch_format in plugins/out_es/es.c).
func (o fluentBitES) document(tag string, record map[string]any, at string) (*document, error) {
	switch {
	case o.Name != "es" || o.Match != tag:
		return nil, fmt.Errorf("the output is %s, for %s", o.Name, o.Match)
	case !o.SuppressTypeName:
		return nil, fmt.Errorf("its actions have a _type, which Elasticsearch 8 refuses")
	case o.WriteOperation != "create":
		return nil, fmt.Errorf("a data stream takes no %s", o.WriteOperation)
	case o.RetryLimit != "no_limits":
		return nil, fmt.Errorf("what Elasticsearch does not take is given up after %s tries", o.RetryLimit)
	}
	record["@timestamp"] = at
	return &document{stream: o.Index, fields: record}, nil
}
