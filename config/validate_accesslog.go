package config

func (c *checker) accessLog(at *place, a *AccessLog) {
	if a == nil {
		return
	}
	c.recorded(at.key("successes"), a.Successes)
	c.must(a.OnStdout() || a.OTLP != nil, at.key("stdout"), "needs otlp: requests that are logged nowhere are not accounted for")
	if s := a.OTLP; s != nil {
		c.spanSink(at.key("otlp"), &SpanSink{Backend: s.Backend, Path: s.Path})
	}
}
