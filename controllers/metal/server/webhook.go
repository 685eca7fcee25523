package server

import (
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/webhook"
)

// webhookIsBlind tells whether there is nothing to ask for the state.
func webhookIsBlind(s *v1alpha2.Server) bool {
	return s.Spec.Power.Webhook.Preset == "" && s.Spec.Power.Webhook.State == nil
}

// webhookTurnsOff tells whether there is something to turn the machine off by.
func webhookTurnsOff(s *v1alpha2.Server) bool {
	return s.Spec.Power.Webhook.Preset != "" || s.Spec.Power.Webhook.Off != nil
}

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
