-- The functions of Lua that match patterns, which pay for it before. It runs once for each state,
-- behind the prelude.
--
-- Arguments: a table of functions of the host; what the prelude has made.

local host, prelude = ...

local charge, weigh, strings = host.charge, host.weigh, prelude.strings
local error, pcall, tonumber, type = error, pcall, tonumber, type
local find, gmatch, gsub, match, sub =
    string.find, string.gmatch, string.gsub, string.match, string.sub

local SPECIAL, REPEATS = "[%^%$%*%+%?%.%(%[%%%-]", "[%*%+%?%-]"

-- What Lua itself says of arguments and patterns. All else was raised by a function of the script.
local OWN = { "bad argument #", "malformed pattern", "missing '['", "invalid pattern capture",
    "invalid capture index", "unbalanced pattern", "too many captures", "unfinished capture",
    "invalid replacement value", "pattern too complex" }

local function passed(name, done, failure, ...)
    if done then
        return failure, ...
    end
    if type(failure) == "string" then
        for at = 1, #OWN do
            if sub(failure, 1, #OWN[at]) == OWN[at] then
                error((gsub(failure, "to '%?'", "to '" .. name .. "'", 1)), 3)
            end
        end
    end
    error(failure, 0)
end

local function is_text(value)
    local kind = type(value)
    return kind == "string" or kind == "number"
end

-- What is no text is refused by Lua.
local function pay(text, pattern, kind, from, times)
    if not is_text(text) or not is_text(pattern) then
        return
    end
    local length = #(text .. "")
    if kind == "plain" or kind == "find" and not find(pattern, SPECIAL) then
        charge(length / 16 + length * #(pattern .. "") / 256)
    elseif not find(pattern, REPEATS) then
        charge(length * #(pattern .. "") / 16)
    else
        weigh(text, pattern, kind, tonumber(from) or 1, tonumber(times) or -1)
    end
end

function strings.find(text, pattern, from, plain)
    pay(text, pattern, plain and "plain" or "find", from)
    return passed("find", pcall(find, text, pattern, from, plain))
end

function strings.match(text, pattern, from)
    pay(text, pattern, "match", from)
    return passed("match", pcall(match, text, pattern, from))
end

function strings.gmatch(text, pattern)
    pay(text, pattern, "gmatch")
    return passed("gmatch", pcall(gmatch, text, pattern))
end

strings.gfind = strings.gmatch

function strings.gsub(text, pattern, with, times)
    pay(text, pattern, "gsub", 1, times)
    return passed("gsub", pcall(gsub, text, pattern, with, times))
end
