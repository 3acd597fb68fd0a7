-- Comes before every script of the telemetry store. KEYS[1] is the environment's "telemetry"; all else is made of it.
--
-- Cells are arrays of doubles: n, x, xx, B, B numbers by class, B sums by class, then (bin, count) pairs.
-- Units are 64-bit hashes as 8 bytes: Lua's numbers hold 53 bits, so they are compared in two halves.
local T = KEYS[1]
local META = string.sub(T, 1, -10) .. 'meta'
local RUNS, INSTANCES, HEARD, LEDGER = T .. ':runs', T .. ':instances', T .. ':heard', T .. ':ledger'
local PROCESSES, PROCESS_WINDOWS = T .. ':processes', T .. ':process-windows'
local AT_ONCE, WORD, EVERYTHING = 1000, 4294967296, {4294967296, 0}

local function of_run(run, name) return T .. ':run:' .. run .. ':' .. name end
local function windows_of(run, metric) return of_run(run, 'windows:' .. metric) end
local function window_of(run, metric, window) return of_run(run, 'window:' .. metric .. ':' .. window) end
local function text_of(number) return string.format('%.0f', number) end
local function halves(bytes) return {struct.unpack('>I4I4', bytes)} end
local function is_below(unit, bound) return unit[1] < bound[1] or (unit[1] == bound[1] and unit[2] < bound[2]) end

local function bound_of(run, metric)
  local found = redis.call('HGET', of_run(run, 'bounds'), metric)
  return found and halves(found) or EVERYTHING
end
