-- Libraries of functions: what they find while they are loaded, and while a function of theirs runs.
-- It runs once for each state, behind the prelude, whose parts it is given.
--
-- Arguments: a table of functions of the host; what the prelude has made.
-- Result: a table of what the host calls.

local host, prelude = ...

local base, redis, fail = prelude.base, prelude.redis, prelude.fail
local copy, missing, reset, seal, sealed =
    prelude.copy, prelude.missing, prelude.reset, prelude.seal, prelude.sealed
local next, rawget, select, setmetatable, tostring, type, xpcall =
    next, rawget, select, setmetatable, tostring, type, xpcall
local find, lower = string.find, string.lower

-- Callbacks of the library by the name of their function in lower case, and what it says of them,
-- in the order in which it registers them.
local callbacks, functions
-- Whether the main function of a library runs, which alone may register.
local loads
-- A library that is known already says nothing to the log.
local logs

local NAME = "ERR Library names can only contain letters, numbers, or underscores(_) and must be "
    .. "at least one character long"

local function register(name, callback, flags, description)
    if not find(name, "^[%w_]+$") then
        fail(NAME)
    end
    local key = lower(name)
    if callbacks[key] then
        fail("ERR Function already exists in the library")
    end
    callbacks[key] = callback
    functions[#functions + 1] = { name = name, flags = flags, description = description }
end

-- A number counts as a string.
local function text_of(value)
    local kind = type(value)
    return (kind == "string" or kind == "number") and tostring(value) or nil
end

local function flags_of(list)
    if type(list) ~= "table" then
        fail("ERR flags argument to redis.register_function must be a table representing function "
            .. "flags")
    end
    local given, sum, at = {}, 0, 1
    repeat
        local name = rawget(list, at)
        if name == nil then
            return sum
        end
        local flag = type(name) == "string" and host.flags[name]
        if not flag then
            fail("ERR unknown flag given")
        end
        if not given[flag] then
            given[flag] = true
            sum = sum + flag
        end
        at = at + 1
    until false
end

local NAMED = { function_name = true, callback = true, flags = true, description = true }

local function text_argument(named, field)
    local value = rawget(named, field)
    local text = text_of(value)
    if value ~= nil and not text then
        fail("ERR " .. field .. " argument given to redis.register_function must be a string")
    end
    return text
end

local function register_named(named)
    local is_unknown
    -- Their order may differ from node to node: what is wrong must not depend on it.
    for key in next, named do
        if not text_of(key) then
            fail("ERR named argument key given to redis.register_function is not a string")
        end
        is_unknown = is_unknown or not NAMED[key]
    end
    if is_unknown then
        fail("ERR unknown argument given to redis.register_function")
    end
    local name = text_argument(named, "function_name")
    local description = text_argument(named, "description")
    local callback, flags = rawget(named, "callback"), rawget(named, "flags")
    if callback ~= nil and type(callback) ~= "function" then
        fail("ERR callback argument given to redis.register_function must be a function")
    end
    flags = flags ~= nil and flags_of(flags) or 0
    if not name then
        fail("ERR redis.register_function must get a function name argument")
    elseif not callback then
        fail("ERR redis.register_function must get a callback argument")
    end
    register(name, callback, flags, description)
end

local api = {}
for _, name in next, { "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION",
    "REDIS_VERSION_NUM" } do
    api[name] = redis[name]
end

function api.log(...)
    if logs then
        redis.log(...)
    end
end

function api.register_function(...)
    local count = select("#", ...)
    local first, callback = ...
    if not loads then
        fail("ERR redis.register_function can only be called on FUNCTION LOAD command")
    elseif count < 1 or count > 2 then
        fail("ERR wrong number of arguments to redis.register_function")
    elseif count == 1 then
        if type(first) ~= "table" then
            fail("ERR calling redis.register_function with a single argument is only applicable to "
                .. "Lua table (representing named arguments).")
        end
        return register_named(first)
    end
    local name = text_of(first)
    if not name then
        fail("ERR first argument to redis.register_function must be a string")
    elseif type(callback) ~= "function" then
        fail("ERR second argument to redis.register_function must be a function")
    end
    register(name, callback, 0)
end

setmetatable(api, { __index = missing })

-- What the environment shows: little while a library is loaded, without KEYS and ARGV later.
local loading, running = {}, copy(base)
loading.redis = seal(api)
loading.server = loading.redis
setmetatable(loading, { __index = missing })
setmetatable(running, { __index = missing })

local environment, metatable = seal(loading)
running._G = environment

local function show(shown)
    metatable.__index = shown
    sealed[environment] = shown
end

-- Runs the main function of a library.
local function register_all(main, run)
    reset(run)
    base.KEYS, base.ARGV = nil, nil
    callbacks, functions = {}, {}
    show(loading)
    loads = true
    local done, result = xpcall(main, host.failure)
    loads = false
    return done, result
end

-- What the main function of a library registers.
local function load(main)
    logs = true
    local done, result = register_all(main, nil)
    return done, done and functions or result
end

-- Runs the main function of a library, and then the function of this name in lower case.
local function call(main, run, name, keys, arguments)
    logs = false
    local done, result = register_all(main, run)
    if not done then
        return done, result
    end
    local callback = callbacks[name]
    show(running)
    done, result = xpcall(function()
        return callback(keys, arguments)
    end, host.failure)
    return done, result, callback
end

return { environment = environment, load = load, call = call }
