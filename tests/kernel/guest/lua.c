/* SPDX-License-Identifier: MIT */
/* A real program: the Lua interpreter at work on tables, strings, closures, coroutines and its collector. */
#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>
#include <stdio.h>

static const char script[] =
	"local primes, sieve = {}, {}\n"
	"for i = 2, 20000 do\n"
	"  if not sieve[i] then primes[#primes + 1] = i; for k = i * i, 20000, i do sieve[k] = true end end\n"
	"end\n"
	"print('primes', #primes, primes[#primes])\n"
	"local words = {}\n"
	"for i = 1, 3000 do words[i] = string.format('word%05d', (i * 7919) % 3001) end\n"
	"table.sort(words)\n"
	"print('words', words[1], words[#words], #table.concat(words, ' '))\n"
	"local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end\n"
	"print('fib', fib(20))\n"
	"local co = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(i) end end)\n"
	"local sum = 0\n"
	"for i = 1, 1000 do sum = sum + co() end\n"
	"print('coroutines', sum)\n"
	"for i = 1, 50 do local t = {}; for k = 1, 1000 do t[k] = { k } end end\n"
	"collectgarbage()\n"
	"print('collected', collectgarbage('count') < 4000)\n"
	"local name = os.tmpname()\n"
	"local f = assert(io.open(name, 'w'))\n"
	"for i = 1, 2000 do f:write(i, '\\n') end\n"
	"f:close()\n"
	"local n = 0\n"
	"for line in io.lines(name) do n = n + tonumber(line) end\n"
	"os.remove(name)\n"
	"print('file', n, io.open(name) == nil)\n"
	"print(pcall(error, 'an error'))\n"
	"print(string.rep('a', 20):gsub('a', 'b', 5))\n"
	"print(math.floor(math.pi * 1e6), 7 // 2, 7 % -3, 1 << 40, 0.1 + 0.2)\n";

int main(void)
{
	lua_State *l = luaL_newstate();
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	luaL_openlibs(l);
	err = luaL_dostring(l, script);
	if (err)
		printf("%s\n", lua_tostring(l, -1));
	lua_close(l);
	return err;
}
