package server

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/webhook"
)

func openWebhook(given *v1alpha2.WebhookPower, logins credentials) (power.Driver, error) {
	if given.Preset != "" {
		config, err := webhook.Preset(given.Preset, webhook.Target{
			URL: given.URL, Entity: given.Entity, User: logins.User, Password: logins.Password, Token: logins.Token,
		})
		if err != nil {
			return nil, err
		}

		return webhook.New(config)
	}

	return webhook.New(webhook.Config{
		On: request(given.On), Off: request(given.Off), Cycle: request(given.Cycle), State: stateRequest(given.State),
		Auth: webhook.Auth{Scheme: webhook.Scheme(given.Auth), User: logins.User, Password: logins.Password, Token: logins.Token},
	})
}

func request(given *v1alpha2.WebhookRequest) *webhook.Request {
	if given == nil {
		return nil
	}

	return &webhook.Request{Method: given.Method, URL: given.URL, Headers: given.Headers, Body: given.Body, Success: given.Success}
}

func stateRequest(given *v1alpha2.WebhookStateRequest) *webhook.StateRequest {
	if given == nil {
		return nil
	}

	return &webhook.StateRequest{
		Request: *request(&given.WebhookRequest), JSONPath: given.JSONPath, Regexp: given.Regexp, On: given.On, Off: given.Off,
	}
}
