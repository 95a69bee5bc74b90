// Command go-parsers measures how long the parsers of Prometheus take for a page: expfmt, which Go programs use, and
// textparse, which Prometheus uses to scrape. It reads commands from stdin, "PARSER FILE SECONDS", and prints the
// nanoseconds per page, so that another program can interleave it with its own measurements.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "go-parsers: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		var name, file string
		var seconds float64
		if _, err := fmt.Sscan(commands.Text(), &name, &file, &seconds); err != nil {
			return fmt.Errorf("command %q: %w", commands.Text(), err)
		}
		page, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parser, err := parserOf(name)
		if err != nil {
			return err
		}
		per, err := measure(page, parser, time.Duration(seconds*float64(time.Second)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Println(per.Nanoseconds())
	}
	return commands.Err()
}

func parserOf(name string) (func([]byte) (int, error), error) {
	switch name {
	case "expfmt":
		return parseFamilies, nil
	case "textparse":
		symbols := labels.NewSymbolTable()
		return func(page []byte) (int, error) { return parseSeries(page, symbols, false) }, nil
	case "textparse-labels":
		symbols := labels.NewSymbolTable()
		return func(page []byte) (int, error) { return parseSeries(page, symbols, true) }, nil
	}
	return nil, fmt.Errorf("unknown parser %q", name)
}

func measure(page []byte, parse func([]byte) (int, error), duration time.Duration) (time.Duration, error) {
	start := time.Now()
	for pages := 1; ; pages++ {
		found, err := parse(page)
		if err != nil {
			return 0, err
		}
		if found == 0 {
			return 0, errors.New("no samples")
		}
		if elapsed := time.Since(start); elapsed >= duration {
			return elapsed / time.Duration(pages), nil
		}
	}
}

// parseFamilies makes all metric families of the page.
func parseFamilies(page []byte) (int, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	return len(families), err
}

// parseSeries reads all samples, as a scrape does: it looks up the text of the series in its cache, and reads the labels of
// those that it does not know yet.
func parseSeries(page []byte, symbols *labels.SymbolTable, withLabels bool) (int, error) {
	parser := textparse.NewPromParser(page, symbols, false)
	var series labels.Labels
	found := 0
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return 0, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := parser.Series()
		if withLabels {
			parser.Labels(&series)
		}
		if value >= 0 {
			found++
		}
	}
}
