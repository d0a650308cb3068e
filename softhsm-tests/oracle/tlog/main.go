// Answers questions about transparency logs with golang.org/x/mod/sumdb, which shares nothing with
// src/tlog: a JSON object a line in, one a line out.
//
// Built without modules, from Debian's golang-go and golang-golang-x-mod-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o oracle main.go
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type question struct {
	Do      string
	Entries [][]byte
	Folder  string
	Index   int64
	Leaf    tlog.Hash
	Name    string
	Note    []byte
	Old     int64
	OldRoot tlog.Hash
	Origin  string
	Path    string
	Proof   []tlog.Hash
	Root    tlog.Hash
	Seed    []byte
	Size    int64
	Skeys   []string
	Text    string
	Url     string
	Vkeys   []string
}

type answer struct {
	Data   []byte      `json:"data,omitempty"`
	Error  string      `json:"error,omitempty"`
	Names  []string    `json:"names,omitempty"`
	Note   []byte      `json:"note,omitempty"`
	Paths  []string    `json:"paths,omitempty"`
	Proof  []tlog.Hash `json:"proof,omitempty"`
	Root   *tlog.Hash  `json:"root,omitempty"`
	Size   int64       `json:"size,omitempty"`
	Skey   string      `json:"skey,omitempty"`
	Status int         `json:"status,omitempty"`
	Text   string      `json:"text,omitempty"`
	Vkey   string      `json:"vkey,omitempty"`
}

// A log in memory: its entries, and the hashes of its tree in Go's order.
type log struct {
	entries [][]byte
	hashes  []tlog.Hash
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		if i >= int64(len(l.hashes)) {
			return nil, fmt.Errorf("no hash %d", i)
		}
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *log) add(entries [][]byte) error {
	for _, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(len(l.entries)), entry, l)
		if err != nil {
			return err
		}
		l.hashes = append(l.hashes, hashes...)
		l.entries = append(l.entries, entry)
	}
	return nil
}

// C2SP tlog-tiles leaves the height out of Go's paths and calls entries otherwise.
func c2spPath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", height))
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

func goTile(path string) (tlog.Tile, error) {
	return tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", height, strings.TrimPrefix(path, "tile/")))
}

// A folder with the files of a log, as a client reads it.
type folder string

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(string(f), c2spPath(t)))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// The entries of a log of some size, from its bundles.
func (f folder) entries(size int64) ([][]byte, error) {
	var out [][]byte
	for n := int64(0); n<<height < size; n++ {
		width := size - n<<height
		if width > 1<<height {
			width = 1 << height
		}
		path := c2spPath(tlog.Tile{H: height, L: -1, N: n, W: int(width)})
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < width; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("%s is too short", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			out = append(out, data[2:end])
			data = data[end:]
		}
		if len(data) > 0 {
			return nil, fmt.Errorf("%s is too long", path)
		}
	}
	return out, nil
}

func verifiers(vkeys []string) (note.Verifiers, error) {
	var list []note.Verifier
	for _, vkey := range vkeys {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), nil
}

// Reads a whole log as a client that believes its key: the checkpoint, every tile, every entry.
func client(q question) (a answer, err error) {
	known, err := verifiers(q.Vkeys)
	if err != nil {
		return a, err
	}
	signed, err := os.ReadFile(filepath.Join(q.Folder, "checkpoint"))
	if err != nil {
		return a, err
	}
	n, err := note.Open(signed, known)
	if err != nil {
		return a, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != q.Origin {
		return a, fmt.Errorf("not a checkpoint of %s: %q", q.Origin, n.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return a, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return a, err
	}
	f := folder(q.Folder)
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, f)
	entries, err := f.entries(size)
	if err != nil {
		return a, err
	}
	indexes := make([]int64, size)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	leaves, err := reader.ReadHashes(indexes)
	if err != nil {
		return a, err
	}
	for i, entry := range entries {
		if tlog.RecordHash(entry) != leaves[i] {
			return a, fmt.Errorf("entry %d is not the leaf of the tree", i)
		}
	}
	for i := int64(0); i < size; i += 1 + size/8 {
		proof, err := tlog.ProveRecord(size, i, reader)
		if err != nil {
			return a, err
		}
		if err := tlog.CheckRecord(proof, size, root, i, leaves[i]); err != nil {
			return a, err
		}
	}
	return answer{Root: &root, Size: size}, nil
}

// Writes a log of some size as files, with a checkpoint.
func (l *log) serve(q question) (a answer, err error) {
	root, err := tlog.TreeHash(q.Size, l)
	if err != nil {
		return a, err
	}
	write := func(path string, data []byte) error {
		path = filepath.Join(q.Folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o666)
	}
	for _, t := range tlog.NewTiles(height, 0, q.Size) {
		data, err := tlog.ReadTileData(t, l)
		if err != nil {
			return a, err
		}
		if err := write(c2spPath(t), data); err != nil {
			return a, err
		}
		if t.L > 0 {
			continue
		}
		var bundle bytes.Buffer
		for i := t.N << height; i < t.N<<height+int64(t.W); i++ {
			binary.Write(&bundle, binary.BigEndian, uint16(len(l.entries[i])))
			bundle.Write(l.entries[i])
		}
		t.L = -1
		if err := write(c2spPath(t), bundle.Bytes()); err != nil {
			return a, err
		}
	}
	q.Text = fmt.Sprintf("%s\n%d\n%s\n", q.Origin, q.Size, root)
	signed, err := sign(q)
	if err != nil {
		return a, err
	}
	return answer{Root: &root}, write("checkpoint", signed.Note)
}

func sign(q question) (a answer, err error) {
	var signers []note.Signer
	for _, skey := range q.Skeys {
		s, err := note.NewSigner(skey)
		if err != nil {
			return a, err
		}
		signers = append(signers, s)
	}
	a.Note, err = note.Sign(&note.Note{Text: q.Text}, signers...)
	return a, err
}

func open(q question) (a answer, err error) {
	known, err := verifiers(q.Vkeys)
	if err != nil {
		return a, err
	}
	n, err := note.Open(q.Note, known)
	if err != nil {
		return a, err
	}
	for _, s := range n.Sigs {
		a.Names = append(a.Names, s.Name)
	}
	a.Text = n.Text
	return a, nil
}

// A witness's key by C2SP tlog-cosignature: type 4, and the time is signed too.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(vkey string) (*witness, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is no key", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("%q is no key of a witness", vkey)
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(sum[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, fmt.Errorf("%q has another id", vkey)
	}
	return &witness{parts[0], hash, key[1:]}, nil
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }

func (w *witness) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(w.key, []byte(message), sig[8:])
}

// Asks a witness to cosign a checkpoint of the log, as C2SP tlog-witness says, and verifies what it
// answers.
func (l *log) addCheckpoint(q question) (a answer, err error) {
	root, err := tlog.TreeHash(q.Size, l)
	if err != nil {
		return a, err
	}
	q.Text = fmt.Sprintf("%s\n%d\n%s\n", q.Origin, q.Size, root)
	signed, err := sign(q)
	if err != nil {
		return a, err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", q.Old)
	if q.Old > 0 && q.Old < q.Size {
		proof, err := tlog.ProveTree(q.Size, q.Old, l)
		if err != nil {
			return a, err
		}
		for _, hash := range proof {
			fmt.Fprintf(&body, "%s\n", hash)
		}
	}
	fmt.Fprintf(&body, "\n%s", signed.Note)
	response, err := http.Post(q.Url+"/add-checkpoint", "text/plain", &body)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	a.Status = response.StatusCode
	switch {
	case a.Status == 409 && response.Header.Get("Content-Type") == "text/x.tlog.size":
		a.Size, err = strconv.ParseInt(strings.TrimSuffix(string(said), "\n"), 10, 64)
	case a.Status == 200:
		var known []note.Verifier
		for _, vkey := range q.Vkeys {
			w, err := newWitness(vkey)
			if err != nil {
				return a, err
			}
			known = append(known, w)
		}
		var n *note.Note
		n, err = note.Open(append(signed.Note, said...), note.VerifierList(known...))
		if err == nil {
			for _, s := range n.Sigs {
				a.Names = append(a.Names, s.Name)
			}
		}
	}
	return a, err
}

func (l *log) answer(q question) (a answer, err error) {
	switch q.Do {
	case "append":
		err = l.add(q.Entries)
	case "root":
		a.Root = new(tlog.Hash)
		*a.Root, err = tlog.TreeHash(q.Size, l)
	case "tile":
		var t tlog.Tile
		if t, err = goTile(q.Path); err == nil {
			a.Data, err = tlog.ReadTileData(t, l)
		}
	case "new tiles":
		for _, t := range tlog.NewTiles(height, q.Old, q.Size) {
			a.Paths = append(a.Paths, c2spPath(t))
		}
	case "prove record":
		a.Proof, err = tlog.ProveRecord(q.Size, q.Index, l)
	case "prove tree":
		a.Proof, err = tlog.ProveTree(q.Size, q.Old, l)
	case "check record":
		err = tlog.CheckRecord(q.Proof, q.Size, q.Root, q.Index, q.Leaf)
	case "check tree":
		err = tlog.CheckTree(q.Proof, q.Size, q.Root, q.Old, q.OldRoot)
	case "generate":
		a.Skey, a.Vkey, err = note.GenerateKey(bytes.NewReader(q.Seed), q.Name)
	case "sign":
		return sign(q)
	case "open":
		return open(q)
	case "client":
		return client(q)
	case "add checkpoint":
		return l.addCheckpoint(q)
	case "serve":
		return l.serve(q)
	default:
		err = fmt.Errorf("unknown question %q", q.Do)
	}
	return a, err
}

func main() {
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	var l log
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var q question
		var a answer
		if err = json.Unmarshal(line, &q); err == nil {
			a, err = l.answer(q)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		out.Encode(a)
	}
}
