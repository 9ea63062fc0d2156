package unary

import (
	"golang.org/x/net/http2"
)

// maxWindow is how much a peer may let us send (RFC 9113, section 6.9.1).
const maxWindow = 1<<31 - 1

// takeSettings keeps to what the client wants. Until the connection is known to
// be ours they are not acknowledged, since the server that it is handed to does
// it.
func (c *conn) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f.ForeachSetting(c.setting); err != nil {
		return err
	}
	c.resume()
	if !c.begun {
		return c.replay.settings(f)
	}
	return c.framer.WriteSettingsAck()
}

func (c *conn) setting(s http2.Setting) error {
	if err := s.Valid(); err != nil || s.ID != http2.SettingInitialWindowSize {
		return err
	}
	for _, k := range c.calls {
		if k.window += int64(s.Val) - c.startWindow; k.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	}
	c.startWindow = int64(s.Val)
	return nil
}

// takeWindow lets more be sent.
func (c *conn) takeWindow(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.resume()
	if f.StreamID > c.lastCall {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if f.StreamID != 0 {
		k := c.calls[f.StreamID]
		if k == nil {
			return nil // its reply is complete
		}
		if k.window += int64(f.Increment); k.window > maxWindow {
			return k.streamError(http2.ErrCodeFlowControl)
		}
		return nil
	}
	if c.sendWindow += int64(f.Increment); c.sendWindow > maxWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if !c.begun {
		return c.replay.windowUpdate(f)
	}
	return nil
}

// takePing answers a ping, and sees by the answer to ours that the client has
// read what came before it.
func (c *conn) takePing(f *http2.PingFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !f.IsAck():
		_ = c.framer.WritePing(true, f.Data)
	case f.Data == drainPing:
		c.leave(c.lastCall)
	}
}

// takeReset ends a call that the client takes back.
func (c *conn) takeReset(f *http2.RSTStreamFrame) error {
	if f.StreamID > c.lastCall {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.drop(f.StreamID)
	return nil
}

// reset ends a stream that the client has spoilt.
func (c *conn) reset(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	_ = c.framer.WriteRSTStream(id, code)
	c.mu.Unlock()
	c.drop(id)
}

// drop forgets a call, if there still is one: nobody waits for its reply.
func (c *conn) drop(id uint32) {
	c.mu.Lock()
	k := c.calls[id]
	c.forget(id)
	c.mu.Unlock()
	if k == nil {
		return
	}
	if !k.answering {
		c.held -= len(k.received)
	}
	k.end()
}
