-- Copyright (C) ngx_apikey_module contributors

-- For wrk: requests with keys taken at random from a file, one a line; and
-- percentiles of the latency at the end, in microseconds.

local requests = {}

function init(args)
    math.randomseed(1)

    for key in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format(nil, nil,
            { Authorization = "Bearer " .. key })
    end
end

function request()
    return requests[math.random(#requests)]
end

function done(summary, latency)
    io.write(string.format("latency %d %d %d %d\n", latency:percentile(50),
        latency:percentile(99), latency:percentile(99.9), latency.max))
end
