// Package admin is how people and programs see and repair a running agent: health,
// metrics, an API, and a dashboard, over a Unix socket and, if wanted, TCP.
package admin

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed web
var web embed.FS

// Server answers on the listeners it is given.
type Server struct {
	handler http.Handler
	gate    *gate
	log     *slog.Logger
	servers []*http.Server
	stop    context.CancelFunc
	done    chan error
}

// New makes the server of an agent; gather may be nil, which leaves out /metrics.
func New(a Agent, gather prometheus.Gatherer, log *slog.Logger) *Server {
	mux := http.NewServeMux()
	stopping, stop := context.WithCancel(context.Background())
	gate := newGate()
	routes(mux, gate, &a, log, stopping)
	if gather != nil {
		metrics := promhttp.HandlerFor(gather, promhttp.HandlerOpts{})
		mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
			// Whoever does not read must not hold the answer, which is large, for long.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(bodyPatience))
			metrics.ServeHTTP(w, r)
		})
	}
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	page := http.FileServerFS(files)
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /static/", http.StripPrefix("/static/", page))
	return &Server{handler: mux, gate: gate, log: log, stop: stop, done: make(chan error, 2)}
}

// Handler is the API as the socket serves it, for a caller in the same process.
func (s *Server) Handler() http.Handler { return guard(Access{Socket: true}, s.gate, s.handler) }

// Serve answers on l until Close. It returns at once.
func (s *Server) Serve(l net.Listener, a Access) {
	srv := &http.Server{
		Handler:           guard(a, s.gate, s.handler),
		ConnContext:       withConnection,
		ReadHeaderTimeout: bodyPatience,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, srv)
	go func() {
		err := srv.Serve(newConnections(l, maxConnections))
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.done <- err
	}()
}

// Close stops answering, giving requests under way until ctx ends, and waits. Streams
// that dashboards hold open end at once.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	var errs []error
	for _, srv := range s.servers {
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // what is still under way had its time
		}
	}
	for range s.servers {
		errs = append(errs, <-s.done)
	}
	return errors.Join(errs...)
}

// WithToken is a dashboard's address with the token in its fragment, which browsers do not send.
func WithToken(page, token string) string {
	if token == "" {
		return page
	}
	return page + "#token=" + url.QueryEscape(token)
}

// PageURL is where a browser on this machine finds the dashboard of a listener.
func PageURL(at net.Addr) string {
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d/", tcp.Port)
	}
	return "http://" + at.String() + "/"
}

// SocketName and TokenName are the admin socket's and the token's name in the state directory.
const (
	SocketName = "agent.sock"
	TokenName  = "admin_token"
)

// ListenSocket opens the admin socket in the state directory, for its owner only. A
// socket left behind by a killed agent is replaced: the caller holds the state's lock,
// so nobody can be listening on it.
func ListenSocket(stateDir string) (net.Listener, error) {
	path := filepath.Join(stateDir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Between bind and chmod the socket would have the umask's mode.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("admin socket (a path of at most 107 bytes): %w", err)
	}
	return l, nil
}
