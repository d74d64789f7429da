# The same verbs for those who type make; the work is in scripts/.
.PHONY: run test quick bench format lock

run:
	@scripts/run
test:
	@scripts/test
quick:
	@scripts/test --quick
bench:
	@scripts/bench $(NAME)
format:
	@scripts/format
lock:
	@scripts/lock
