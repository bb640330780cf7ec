-- What scripts find in a state beside the libraries, and how they are run. It runs once for each
-- state, before any script, and sees the true globals; scripts see sealed views of them.
--
-- Argument: a table of functions of the host.
-- Result: a table of what the host calls, and of the environment of scripts.

local host = ...

local assert, error, getmetatable, setmetatable = assert, error, getmetatable, setmetatable
local select, type, tonumber, unpack = select, type, tonumber, unpack
local next, pcall, xpcall, rawget, rawset, tostring = next, pcall, xpcall, rawget, rawset, tostring
local charge, compile, sha1hex = host.charge, host.compile, host.sha1hex
local find, format = string.find, string.format

-- Runs a command for the script that runs.
local command
-- Keys of the table over which `next` was called last, in order, and its place among them.
local walked, walked_keys, walked_at
-- Metatables that the script has set. When garbage is collected what weak tables hold must stay.
local metatables
-- By table or function, and how many: the numbers that `tostring` shows.
local names, names_count

-- Views that cannot be changed.

local READONLY = "Attempt to modify a readonly table"
-- By view: what it shows.
local sealed = {}

local function refuse()
    error(READONLY, 2)
end

-- The view, and its metatable.
local function seal(shown)
    local view, metatable = {}, {}
    sealed[view], sealed[metatable] = shown, {}
    setmetatable(metatable, { __newindex = refuse, __metatable = metatable })
    local own = { __index = shown, __newindex = refuse, __metatable = metatable }
    return setmetatable(view, own), own
end

local function missing(_, name)
    local shown = tostring(name)
    error("Script attempted to access nonexistent global variable '" .. shown .. "'", 2)
end

-- Errors.

local function kind(value)
    return value == nil and "nil" or type(value)
end

local function bad_argument(number, name, wanted, value)
    local text = "bad argument #%d to '%s' (%s expected, got %s)"
    error(format(text, number, name, wanted, kind(value)), 3)
end

-- Nobody catches the end of a script that has taken too much.
local uncaught = host.stopped

-- What the host fails with is an object of its own: scripts get the text.
local function shown(failure)
    return type(failure) == "userdata" and host.message(failure) or failure
end

local function caught(done, failure, ...)
    if not done then
        if uncaught(failure) then
            error(failure, 0)
        end
        failure = shown(failure)
        if type(failure) == "table" and type(rawget(failure, "err")) == "string" then
            return false, failure.err
        end
    end
    return done, failure, ...
end

local function resumed(done, failure, ...)
    if not done then
        if uncaught(failure) then
            error(failure, 0)
        end
        return false, shown(failure)
    end
    return done, failure, ...
end

-- The order of keys: numbers, booleans, strings, each ascending.

local UNORDERED = "Script attempted to walk over a table with several tables or functions as "
    .. "keys: they have no order that all nodes agree on"
local RANKS = { number = 1, boolean = 2, string = 3 }
local sort = table.sort

local function is_before(left, right)
    local rank, other = RANKS[type(left)] or 4, RANKS[type(right)] or 4
    if rank ~= other then
        return rank < other
    end
    if rank == 2 then
        return right and not left
    end
    return rank ~= 4 and left < right
end

local function keys_of(shown)
    local keys, count, objects, last = {}, 0, 0, nil
    local is_sorted, kinds, first = true, 0, nil
    for key in next, shown do
        local kind = type(key)
        if kind ~= first then
            first, kinds = kind, kinds + 1
        elseif is_sorted and (kind == "number" or kind == "string") then
            is_sorted = last < key
        end
        if not RANKS[kind] then
            objects = objects + 1
        end
        last, count = key, count + 1
        keys[count] = key
    end
    if objects > 1 then
        error(UNORDERED, 0)
    end
    if kinds > 1 or first == "boolean" then
        charge(count * 20)
        sort(keys, is_before)
    elseif not is_sorted then
        charge(count * 20)
        sort(keys)
    end
    return keys
end

local function pairs(walked_table)
    if type(walked_table) ~= "table" then
        bad_argument(1, "pairs", "table", walked_table)
    end
    local shown = sealed[walked_table] or walked_table
    local keys, at = keys_of(shown), 0
    local function advance()
        local value
        repeat
            at = at + 1
            local key = keys[at]
            if key == nil then
                return nil
            end
            value = rawget(shown, key)
            if value ~= nil then
                return key, value
            end
        until false
    end
    return advance, walked_table, nil
end

local function place_behind(keys, key)
    for at = 1, #keys do
        if is_before(key, keys[at]) then
            return at
        end
    end
    return #keys + 1
end

local function ordered_next(walked_table, key)
    if type(walked_table) ~= "table" then
        bad_argument(1, "next", "table", walked_table)
    end
    local shown = sealed[walked_table] or walked_table
    local first, value = next(shown)
    if first == nil then
        return nil
    end
    if key == nil then
        if next(shown, first) == nil then
            walked = nil
            return first, value
        end
        walked, walked_keys, walked_at = shown, keys_of(shown), 0
    elseif walked ~= shown or walked_keys[walked_at] ~= key then
        walked, walked_keys = shown, keys_of(shown)
        walked_at = place_behind(walked_keys, key) - 1
    end
    repeat
        walked_at = walked_at + 1
        key = walked_keys[walked_at]
        if key == nil then
            return nil
        end
        value = rawget(shown, key)
    until value ~= nil
    return key, value
end

-- The functions of Lua that scripts get.

local base = {
    _VERSION = _VERSION,
    assert = assert,
    error = error,
    ipairs = ipairs,
    next = ordered_next,
    pairs = pairs,
    rawequal = rawequal,
    select = select,
    tonumber = tonumber,
    type = type,
    unpack = unpack,
}

function base.collectgarbage(option)
    local known = { collect = 0, stop = 0, restart = 0, count = 64, step = true, setpause = 200,
        setstepmul = 200 }
    local result = known[option == nil and "collect" or option]
    if result == nil then
        local text = "bad argument #1 to 'collectgarbage' (invalid option '%s')"
        error(format(text, tostring(option)), 2)
    end
    return result
end

function base.gcinfo()
    return 64
end

function base.getmetatable(...)
    if select("#", ...) == 0 then
        error("bad argument #1 to 'getmetatable' (value expected)", 2)
    end
    return (getmetatable((...)))
end

function base.setmetatable(...)
    local target, metatable = ...
    if type(target) ~= "table" then
        bad_argument(1, "setmetatable", "table", target)
    end
    if sealed[target] then
        error(READONLY, 0)
    end
    if metatable ~= nil and type(metatable) ~= "table" or select("#", ...) < 2 then
        error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
    end
    local former = getmetatable(target)
    if former ~= nil and (type(former) ~= "table" or rawget(former, "__metatable") ~= nil) then
        error("cannot change a protected metatable", 2)
    end
    if metatable then
        metatables[metatable] = true
    end
    return setmetatable(target, metatable)
end

function base.load(reader, name)
    if type(reader) ~= "function" then
        bad_argument(1, "load", "function", reader)
    end
    local pieces, count = {}, 0
    repeat
        local piece = reader()
        if piece ~= nil and type(piece) ~= "string" then
            return nil, "reader function must return a string"
        end
        count = count + 1
        pieces[count] = piece
    until piece == nil or piece == ""
    return compile(table.concat(pieces), name or "=(load)")
end

function base.loadstring(source, name)
    if type(source) == "number" then
        source = tostring(source)
    end
    if type(source) ~= "string" then
        bad_argument(1, "loadstring", "string", source)
    end
    return compile(source, name and tostring(name) or source)
end

function base.pcall(...)
    if select("#", ...) == 0 then
        error("bad argument #1 to 'pcall' (value expected)", 2)
    end
    return caught(pcall(...))
end

function base.xpcall(...)
    if select("#", ...) < 2 then
        error("bad argument #2 to 'xpcall' (value expected)", 2)
    end
    local body, handler = ...
    return resumed(xpcall(body, function(failure)
        return handler(shown(failure))
    end))
end

function base.rawget(from, key)
    if type(from) ~= "table" then
        bad_argument(1, "rawget", "table", from)
    end
    return rawget(sealed[from] or from, key)
end

function base.rawset(into, key, value)
    if type(into) ~= "table" then
        bad_argument(1, "rawset", "table", into)
    end
    if sealed[into] then
        error(READONLY, 0)
    end
    return rawset(into, key, value)
end

-- An address tells nodes apart: what has one is numbered by the order in which it is shown.
function base.tostring(...)
    if select("#", ...) == 0 then
        error("bad argument #1 to 'tostring' (value expected)", 2)
    end
    local value = ...
    local shown = tostring(value)
    local kind = type(value)
    if kind == "string" or kind == "number" or not find(shown, "^%l+: 0x%x+$") then
        return shown
    end
    local name = names[value]
    if not name then
        names_count = names_count + 1
        name = format("%s: 0x%08x", kind, names_count)
        names[value] = name
    end
    return name
end

-- Libraries: copies, in which some functions are replaced.

local function copy(library)
    local copied = {}
    for name, value in next, library do
        copied[name] = value
    end
    return copied
end

local strings, tables, maths = copy(string), copy(table), copy(math)
local rep, insert, remove, concat = string.rep, table.insert, table.remove, table.concat

function strings.rep(text, count)
    if type(text) ~= "string" then
        if type(text) ~= "number" then
            bad_argument(1, "rep", "string", text)
        end
        text = tostring(text)
    end
    local times = tonumber(count)
    if not times then
        bad_argument(2, "rep", "number", count)
    end
    if text == "" then
        return ""
    end
    if times > 64 then
        charge(#text * times / 16)
    end
    return rep(text, times)
end

function tables.insert(into, ...)
    if type(into) ~= "table" then
        bad_argument(1, "insert", "table", into)
    end
    if sealed[into] then
        error(READONLY, 0)
    end
    local count = select("#", ...)
    if count == 1 then
        return insert(into, (...))
    elseif count ~= 2 then
        error("wrong number of arguments to 'insert'", 2)
    end
    local at, value = ...
    local place = tonumber(at)
    if not place then
        bad_argument(2, "insert", "number", at)
    end
    local moved = #into - place
    if moved > 64 then
        charge(moved / 4)
    end
    return insert(into, place, value)
end

function tables.remove(from, at)
    if type(from) ~= "table" then
        bad_argument(1, "remove", "table", from)
    end
    if at == nil then
        return remove(from)
    end
    local place = tonumber(at)
    if not place then
        bad_argument(2, "remove", "number", at)
    end
    local moved = #from - place
    if moved > 64 then
        charge(moved / 4)
    end
    return remove(from, place)
end

function tables.sort(list, is_less)
    if type(list) ~= "table" then
        bad_argument(1, "sort", "table", list)
    end
    if is_less ~= nil and type(is_less) ~= "function" then
        bad_argument(2, "sort", "function", is_less)
    end
    charge(#list * 8)
    local sorted, failure = pcall(sort, list, is_less)
    if not sorted then
        error(failure, failure == "invalid order function for sorting" and 2 or 0)
    end
end

function tables.foreach(list, visit)
    if type(list) ~= "table" then
        bad_argument(1, "foreach", "table", list)
    end
    for key, value in pairs(list) do
        local result = visit(key, value)
        if result ~= nil then
            return result
        end
    end
end

-- The library of the machine may differ in the last digit from node to node.
for name, of in next, host.math do
    maths[name] = function(first, second)
        local left = tonumber(first)
        if not left then
            bad_argument(1, name, "number", first)
        end
        local right = tonumber(second)
        if not right and (name == "pow" or name == "atan2") then
            bad_argument(2, name, "number", second)
        end
        return of(left, right or 0)
    end
end

local MOST = 2147483647

function maths.random(...)
    local count = select("#", ...)
    local fraction = host.draw() % MOST / MOST
    if count == 0 then
        return fraction
    elseif count > 2 then
        error("wrong number of arguments", 2)
    end
    local low, high = ...
    if count == 1 then
        low, high = 1, low
    end
    local first, last = tonumber(low), tonumber(high)
    if not first or not last then
        bad_argument(first and count or 1, "random", "number", first and high or low)
    end
    first, last = host.truncate(first), host.truncate(last)
    if first > last then
        error(format("bad argument #%d to 'random' (interval is empty)", count), 2)
    end
    return maths.floor(fraction * (last - first + 1)) + first
end

function maths.randomseed(seed)
    local number = tonumber(seed)
    if not number then
        bad_argument(1, "randomseed", "number", seed)
    end
    host.seed(number)
end

local coroutines = copy(coroutine)
local create, resume = coroutine.create, coroutine.resume

function coroutines.create(body)
    if type(body) ~= "function" then
        error("bad argument #1 to 'create' (Lua function expected)", 2)
    end
    charge(1000)
    return create(body)
end

function coroutines.resume(thread, ...)
    if type(thread) ~= "thread" then
        error("bad argument #1 to 'resume' (coroutine expected)", 2)
    end
    return resumed(resume(thread, ...))
end

local function unwrapped(done, failure, ...)
    if not done then
        error(failure, uncaught(failure) and 0 or 3)
    end
    return failure, ...
end

function coroutines.wrap(body)
    if type(body) ~= "function" then
        error("bad argument #1 to 'wrap' (Lua function expected)", 2)
    end
    charge(1000)
    local thread = create(body)
    return function(...)
        return unwrapped(resume(thread, ...))
    end
end

-- The table `redis`.

local redis = {
    LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
    REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
    REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
}

local function fail(text)
    error({ err = text, ignore_error_stats_update = true }, 0)
end

-- The host holds each argument by a reference, of which it has a few thousand: many come as a table.
local MANY = 200

local function run(asks, ...)
    local count = select("#", ...)
    if count > MANY then
        return command(asks, count, { ... })
    end
    return command(asks, count, ...)
end

local function failed(text)
    return { err = text, ignore_error_stats_update = true }
end

function redis.call(...)
    local value, failure = run(false, ...)
    if failure then
        error(failed(failure), 0)
    end
    return value
end

function redis.pcall(...)
    local value, failure = run(false, ...)
    return failure and failed(failure) or value
end

function redis.acl_check_cmd(...)
    local value, failure = run(true, ...)
    if failure then
        error(failed(failure), 0)
    end
    return value
end

local function single(field, ...)
    local text = ...
    if select("#", ...) ~= 1 or type(text) ~= "string" then
        return { err = "ERR wrong number or type of arguments" }
    end
    return { [field] = text }
end

function redis.status_reply(...)
    return single("ok", ...)
end

function redis.error_reply(...)
    local reply = single("err", ...)
    local text = reply.err
    if text:sub(1, 1) == "-" then
        text = text:sub(2)
    end
    reply.err = find(text, " ", 1, true) and text or "ERR " .. text
    return reply
end

function redis.sha1hex(...)
    if select("#", ...) ~= 1 then
        fail("ERR wrong number of arguments")
    end
    local text = ...
    local kind = type(text)
    return sha1hex((kind == "string" or kind == "number") and tostring(text) or "")
end

function redis.log(...)
    local level = ...
    if select("#", ...) < 2 then
        fail("ERR redis.log() requires two arguments or more.")
    elseif type(level) ~= "number" then
        fail("ERR First argument must be a number (log level).")
    elseif level < 0 or level > 3 then
        fail("ERR Invalid debug level.")
    end
    local words = {}
    for at = 2, select("#", ...) do
        local word = select(at, ...)
        local kind = type(word)
        words[#words + 1] = (kind == "string" or kind == "number") and tostring(word) or nil
    end
    host.log(level, concat(words, " "))
end

function redis.setresp(...)
    if select("#", ...) ~= 1 then
        fail("ERR redis.setresp() requires one argument.")
    end
    local version = tonumber((...))
    if version ~= 2 and version ~= 3 then
        fail("ERR RESP version must be 2 or 3.")
    end
    host.set_protocol(version)
end

function redis.set_repl(...)
    if select("#", ...) ~= 1 then
        fail("ERR redis.set_repl() requires two arguments.")
    end
    local flags = tonumber((...))
    if not flags or flags < 0 or flags > 3 then
        fail("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
    end
end

function redis.replicate_commands()
    return true
end

function redis.breakpoint()
    return false
end

redis.debug = function() end

-- What the libraries of the host have set.
for name, library in next, host.libraries do
    base[name] = seal(library)
end

base.redis = seal(redis)
base.server = base.redis
base.string, base.table, base.math = seal(strings), seal(tables), seal(maths)
base.coroutine = seal(coroutines)
base.os = seal({ clock = host.clock })
setmetatable(base, { __index = missing })

local environment = seal(base)
base._G = environment

do
    local metatable = getmetatable("")
    metatable.__index = strings
    metatable.__metatable = getmetatable(base.string)
end

local function reset(run)
    command = run
    walked, walked_keys, walked_at = nil, nil, 0
    names, names_count, metatables = {}, 0, {}
end

-- Garbage is collected between these two.
local modes

local function strengthen()
    modes = {}
    for metatable in next, metatables do
        local mode = rawget(metatable, "__mode")
        if mode ~= nil then
            modes[metatable] = mode
            rawset(metatable, "__mode", nil)
        end
    end
end

local function weaken()
    for metatable, mode in next, modes do
        rawset(metatable, "__mode", mode)
    end
    modes = nil
end

-- Runs the main function of a script.
local function start(script, run, keys, arguments)
    reset(run)
    base.KEYS, base.ARGV = keys, arguments
    local done, result = xpcall(script, host.failure)
    return done, result
end

return {
    environment = environment,
    keys_of = keys_of,
    start = start,
    strengthen = strengthen,
    weaken = weaken,
    -- For libraries of functions.
    base = base,
    copy = copy,
    fail = fail,
    missing = missing,
    redis = redis,
    reset = reset,
    seal = seal,
    sealed = sealed,
    strings = strings,
}
